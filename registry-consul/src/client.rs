//! What an agent is asked, and how its answer is read.

use std::time::Duration;

use registry_address::Server;
use registry_core::Result;
use registry_http::{Endpoints, Failure, Repeat};
use reqwest::{Method, StatusCode};

use crate::answer::{Answer, check, filtered, index};

/// A request that any of the endpoints may be given, more than once: none does harm by being repeated.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    /// The path on the server, encoded.
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) body: Vec<u8>,
    /// What it concerns, for messages.
    pub(crate) about: &'a str,
    /// How long the server may wait before it answers.
    pub(crate) patience: Duration,
    /// Words in a failure of the server, or a refusal, by which it is an answer.
    pub(crate) tolerated: &'static [&'static str],
}

impl<'a> Request<'a> {
    pub(crate) fn new(method: Method, path: impl Into<String>, about: &'a str) -> Self {
        Self {
            method,
            path: path.into(),
            query: String::new(),
            body: Vec::new(),
            about,
            patience: Duration::ZERO,
            tolerated: &[],
        }
    }

    pub(crate) fn query(mut self, query: impl Into<String>) -> Self {
        self.query = query.into();
        self
    }

    pub(crate) fn body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }
}

#[derive(Debug)]
pub(crate) struct Client {
    endpoints: Endpoints,
    /// As it stands in a query; empty for the agent's own.
    datacenter: String,
}

impl Client {
    pub(crate) fn new(endpoints: Endpoints, datacenter: String) -> Self {
        Self { endpoints, datacenter }
    }

    pub(crate) fn endpoints(&self) -> Vec<String> {
        self.endpoints.labels()
    }

    /// Asks one endpoint after the other until one answers.
    pub(crate) async fn call(&self, request: &Request<'_>) -> Result<Answer> {
        let _turn = if request.patience.is_zero() { self.endpoints.turn().await } else { None };
        let (answer, doubtful) = self.endpoints.call(Repeat::Freely, |at| self.ask(at, request)).await?;
        Ok(Answer { doubtful, ..answer })
    }

    /// One request to one endpoint, from the first byte to the last.
    async fn ask(&self, at: Server, request: &Request<'_>) -> std::result::Result<Answer, Failure> {
        let (endpoints, Request { method, path, query, body, about, .. }) = (&self.endpoints, request);
        let parts = [self.datacenter.as_str(), query].map(str::to_owned);
        let query = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("&");
        let mut builder = endpoints.request(at, method.clone(), path, &query, about)?;
        if !body.is_empty() {
            builder = builder.body(body.clone());
        }
        let mut response = endpoints.send(at, about, builder, endpoints.limit() + request.patience).await?;
        let body = endpoints.body(at, about, &mut response).await?;
        let (endpoint, status) = (endpoints.label(at), response.status());
        let said = || String::from_utf8_lossy(&body);
        let may_be_answer = status.is_server_error() || status == StatusCode::UNAUTHORIZED;
        let is_answer = may_be_answer && request.tolerated.iter().any(|words| said().contains(words));
        if !is_answer {
            check(&endpoint, about, status, &body, endpoints.has_identity())?;
        }
        let (index, filtered) = (index(response.headers()), filtered(response.headers()));
        Ok(Answer { endpoint, status, index, body, doubtful: false, filtered })
    }
}
