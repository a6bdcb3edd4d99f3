//! Whether a token sees everything that a list is made of.
//!
//! Consul leaves out of a list what the token may not read, and answers 200 all the same. From 1.11 on a header says so; before,
//! nothing does. So each list is followed by requests that Consul refuses with 403 unless the token has the permission: servers
//! answer them with the same permissions as the list, while what an agent says of itself may be older by `acl.policy_ttl`.

use registry_core::{Error, ErrorKind, Result};
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use crate::answer::Answer;
use crate::catalog::Services;
use crate::client::{Client, Request};
use crate::kv::Inner;
use crate::paths::encode;

/// A name that no node and no entry has. A rule for a node or key of its own does not match it, a rule for all of them does.
const NOBODY: &str = "~cluster-control-probe";
/// What an agent with `disable_coordinates` says.
const NO_COORDINATES: &str = "Coordinate support disabled";
/// What an agent without access control says: everybody may do everything.
const NO_ACCESS_CONTROL: &str = "ACL support disabled";
const READ_NODES: &str = r#"node_prefix "" { policy = "read" }"#;

/// Names the permission that is missing in a refusal. Where the token itself is missing or unknown, that is what is wrong.
pub(crate) fn needs(rule: &str) -> impl FnOnce(Error) -> Error {
    move |error| match error.kind() {
        ErrorKind::PermissionDenied => Error::new(error.kind(), format!("{error}: it needs the permission `{rule}`")),
        _ => error,
    }
}

/// The error for a list that Consul says is not all that there is.
pub(crate) fn filtered(answer: &Answer, about: &str, rules: &str) -> Error {
    let endpoint = &answer.endpoint;
    Error::new(
        ErrorKind::PermissionDenied,
        format!(
            "{endpoint}: {about}: the token may see only a part of what there is: it needs {rules}, without exceptions"
        ),
    )
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Wish<'a> {
    resource: &'a str,
    access: &'a str,
    segment: &'a str,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Granted {
    allow: bool,
}

impl Services {
    /// Fails unless the token may see this service on every node, naming the permission that is missing.
    pub(crate) async fn prove(&self, service: &str) -> Result<()> {
        let read = format!(r#"service "{service}" {{ policy = "read" }}"#);
        let (of_service, of_nodes) =
            tokio::join!(self.may_read_service(service), may_read_nodes(&self.client, service));
        of_service.map_err(needs(&read))?;
        of_nodes.map_err(needs(READ_NODES))
    }

    /// Nobody asks for the settings of a service without the permission to read it, whether there are any or not.
    async fn may_read_service(&self, service: &str) -> Result<()> {
        let path = format!("/v1/config/service-defaults/{}", encode(service));
        let answer = self.client.call(&Request::new(Method::GET, path, service).query("consistent")).await?;
        permitted(&answer, service)
    }

    /// The rules that a list of a service's instances needs.
    pub(crate) fn rules(service: &str) -> String {
        format!(r#"`service "{service}" {{ policy = "read" }}` and `{READ_NODES}`"#)
    }
}

/// The coordinates of a node are refused to whoever may not read the node, whether there are any or not.
async fn may_read_nodes(client: &Client, about: &str) -> Result<()> {
    let path = format!("/v1/coordinate/node/{NOBODY}");
    let mut request = Request::new(Method::GET, path, about).query("consistent");
    request.tolerated = &[NO_COORDINATES];
    let answer = client.call(&request).await?;
    if answer.says(NO_COORDINATES) { may_read_nodes_by_agent(client, about).await } else { permitted(&answer, about) }
}

/// What the agent knows of the token's permissions; and that the one node that there always is can be seen.
async fn may_read_nodes_by_agent(client: &Client, about: &str) -> Result<()> {
    let nodes = client.call(&Request::new(Method::GET, "/v1/catalog/nodes", about).query("consistent")).await?;
    let nodes: Vec<serde_json::Value> = nodes.json(about)?;
    let wish = [Wish { resource: "node", access: "read", segment: NOBODY }];
    let body = serde_json::to_vec(&wish).map_err(|error| Error::invalid_input("a permission").because(error))?;
    let mut request = Request::new(Method::POST, "/v1/internal/acl/authorize", about).body(body);
    request.tolerated = &[NO_ACCESS_CONTROL];
    let answer = client.call(&request).await?;
    let allowed = match answer.status {
        StatusCode::OK => answer.json::<Vec<Granted>>(about)?.iter().all(|granted| granted.allow),
        // Old agents have no such question.
        StatusCode::NOT_FOUND => true,
        _ => answer.says(NO_ACCESS_CONTROL),
    };
    if allowed && !nodes.is_empty() {
        return Ok(());
    }
    let endpoint = &answer.endpoint;
    Err(Error::new(ErrorKind::PermissionDenied, format!("{endpoint}: {about}: the token may not see every node")))
}

impl Inner {
    /// Fails unless the token may read keys of any name below this one.
    pub(crate) async fn prove(&self, key: &str) -> Result<()> {
        let rule = format!(r#"key_prefix "{key}/" {{ policy = "read" }}"#);
        let answer = self.read(&format!("{key}/{NOBODY}"), false, None).await.map_err(needs(&rule))?;
        permitted(&answer, key)
    }
}

/// There is nothing of that name, or there is: both are told only to whoever may know.
fn permitted(answer: &Answer, about: &str) -> Result<()> {
    match answer.status {
        StatusCode::OK | StatusCode::NOT_FOUND => Ok(()),
        _ => Err(answer.unexpected(about)),
    }
}
