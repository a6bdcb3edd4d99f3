//! Requests and their answers.

use std::fmt;
use std::time::Duration;

use registry_core::{Error, Result};
use registry_credentials::{trust_nobody, trust_system};
use registry_http::builder;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Deserialize;

use super::address::Base;
use super::config::CouchbaseConfig;
use crate::scheduler::driver::DriverError;

/// The longest answer that is read. A hundred nodes and a hundred buckets stay well below it.
const BODY_LIMIT: usize = 4 << 20;
/// How much of a refusal is shown.
const SHOWN: usize = 300;

pub(super) struct Rest {
    client: reqwest::Client,
    user: String,
    password: String,
    timeout: Duration,
}

/// Why a request did not lead to what it should.
#[derive(Debug)]
pub(super) struct Failure {
    message: String,
    /// The server has said so; no question of the same kind would change it.
    is_final: bool,
}

impl Failure {
    pub(super) fn is_final(&self) -> bool {
        self.is_final
    }
}

impl From<Failure> for DriverError {
    fn from(failure: Failure) -> Self {
        DriverError::new(failure.message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The nodes of a cluster, by the names that it has for them: `ns_1@10.0.0.1`.
pub(super) struct Nodes {
    pub(super) names: Vec<String>,
}

impl Nodes {
    /// The node at this host: the whole of what follows the `@`, not a part of it.
    pub(super) fn find(&self, host: &str) -> Option<&str> {
        let at = |name: &&str| name.split_once('@').is_some_and(|(_, own)| own.eq_ignore_ascii_case(host));
        self.names.iter().map(String::as_str).find(at)
    }
}

#[derive(Deserialize)]
struct Pool {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    otp_node: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Progress {
    status: String,
    error_message: Option<String>,
}

const FOREIGN: &str = "the answer is not one of Couchbase";

/// The nodes that an answer lists; or what is wrong with it.
pub(super) fn names(body: &[u8]) -> std::result::Result<Nodes, String> {
    let pool: Pool = serde_json::from_slice(body).map_err(|_| FOREIGN)?;
    let names: Vec<_> = pool.nodes.into_iter().map(|node| node.otp_node).collect();
    // They are joined by commas.
    match names.iter().find(|name| name.contains(',') || !name.contains('@')) {
        Some(name) => Err(format!("{name:?} is not the name of a node")),
        None => Ok(Nodes { names }),
    }
}

/// Whether a rebalance is under way, or why it failed; or what is wrong with the answer.
pub(super) fn rebalancing(body: &[u8]) -> std::result::Result<std::result::Result<bool, String>, String> {
    let progress: Progress = serde_json::from_slice(body).map_err(|_| FOREIGN)?;
    Ok(match progress.error_message {
        _ if progress.status == "running" => Ok(true),
        Some(why) => Err(why),
        None => Ok(false),
    })
}

impl Rest {
    pub(super) fn new(config: &CouchbaseConfig) -> Result<Self> {
        let tls = if config.url.scheme() == "https" { trust_system() } else { trust_nobody() };
        let client = builder(tls?)
            .build()
            .map_err(|error| Error::config("cannot prepare an HTTP client").because(error.without_url()))?;
        let CouchbaseConfig { user, password, request_timeout, .. } = config.clone();
        Ok(Self { client, user, password, timeout: request_timeout })
    }

    pub(super) async fn nodes(&self, base: &Base) -> std::result::Result<Nodes, Failure> {
        let path = "/pools/default";
        names(&self.get(base, path).await?).map_err(|what| self.wrong(base, path, &what))
    }

    /// Whether a rebalance or a failover is under way.
    pub(super) async fn is_running(&self, base: &Base) -> std::result::Result<bool, Failure> {
        let path = "/pools/default/rebalanceProgress";
        let progress = rebalancing(&self.get(base, path).await?).map_err(|what| self.wrong(base, path, &what))?;
        let failed = |why| Failure { message: self.told(base, path, &format!("it failed: {why}")), is_final: true };
        progress.map_err(failed)
    }

    /// Posts a form; succeeds when the server does what it says.
    pub(super) async fn post(
        &self,
        base: &Base,
        path: &str,
        form: &[(&str, &str)],
    ) -> std::result::Result<(), DriverError> {
        let (status, body) = self.send(base, path, Method::POST, |request| request.form(form)).await?;
        if status.is_success() { Ok(()) } else { Err(self.refused(base, path, status, &body).into()) }
    }

    /// As `post`; `false` when the server refuses it with exactly these words.
    pub(super) async fn post_or(
        &self,
        base: &Base,
        path: &str,
        form: &[(&str, &str)],
        words: &str,
    ) -> std::result::Result<bool, DriverError> {
        let (status, body) = self.send(base, path, Method::POST, |request| request.form(form)).await?;
        if status.is_success() {
            return Ok(true);
        }
        let said: Vec<String> = serde_json::from_slice(&body).unwrap_or_default();
        if status == StatusCode::BAD_REQUEST && said.iter().any(|said| said == words) {
            return Ok(false);
        }
        Err(self.refused(base, path, status, &body).into())
    }

    async fn get(&self, base: &Base, path: &str) -> std::result::Result<Vec<u8>, Failure> {
        let (status, body) = self.send(base, path, Method::GET, |request| request).await?;
        if !status.is_success() {
            return Err(self.refused(base, path, status, &body));
        }
        Ok(body)
    }

    /// One request, from the first byte to the last, within its time.
    async fn send(
        &self,
        base: &Base,
        path: &str,
        method: Method,
        fill: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> std::result::Result<(StatusCode, Vec<u8>), Failure> {
        let request = self.client.request(method, base.at(path)).basic_auth(&self.user, Some(&self.password));
        let failed = |error: reqwest::Error| self.wrong(base, path, &reason(error));
        let mut response = fill(request.timeout(self.timeout)).send().await.map_err(failed)?;
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(failed)? {
            if body.len() + part.len() > BODY_LIMIT {
                return Err(self.wrong(base, path, "the answer is too long"));
            }
            body.extend_from_slice(&part);
        }
        Ok((response.status(), body))
    }

    fn refused(&self, base: &Base, path: &str, status: StatusCode, body: &[u8]) -> Failure {
        let what = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => format!("the server refuses user {:?}", self.user),
            status if status.is_redirection() => format!("the answer is a redirect ({status}), which is not followed"),
            status => format!("the server answered {status}: {}", String::from_utf8_lossy(body).trim()),
        };
        let is_final = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        Failure { is_final, ..self.wrong(base, path, &what) }
    }

    fn wrong(&self, base: &Base, path: &str, what: &str) -> Failure {
        Failure { message: self.told(base, path, what), is_final: false }
    }

    /// What is shown may hold words of the server: no control characters, not too many, and never the password.
    fn told(&self, base: &Base, path: &str, what: &str) -> String {
        let safe: String =
            what.replace(&self.password, "***").chars().filter(|c| !c.is_control()).take(SHOWN).collect();
        format!("{base}{path}: {safe}")
    }
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest").field("user", &self.user).finish_non_exhaustive()
    }
}

fn reason(error: reqwest::Error) -> String {
    if error.is_timeout() { "no answer in time".into() } else { format!("no answer: {}", registry_http::reason(error)) }
}
