//! One request to one endpoint, and its answer.

use std::time::Duration;

use registry_core::{Error, ErrorKind};
use reqwest::{Method, RequestBuilder, Response};
use tokio::time::timeout;

use crate::endpoints::{Endpoint, Endpoints};
use crate::failure::{Failure, late, transport, unexpected};

/// No answer may be longer. A directory of 10,000 members has about 3 MB.
pub const BODY_LIMIT: usize = 64 << 20;

impl Endpoints {
    /// A request that says who we are. `path` and `query` are encoded; `about` is what messages call it.
    ///
    /// # Errors
    /// `InvalidInput`: the URL's parser has its own idea of this path, and a cleaned one is another key.
    pub fn request(
        &self,
        at: usize,
        method: Method,
        path: &str,
        query: &str,
        about: &str,
    ) -> Result<RequestBuilder, Failure> {
        let Endpoint { label, base, .. } = &self.all[at];
        let mut url = base.clone();
        url.set_path(path);
        url.set_query((!query.is_empty()).then_some(query));
        if url.path() != path {
            return Err(Failure::Final(Error::invalid_input(format!("{label}: {about:?} cannot stand in a URL"))));
        }
        let builder = self.client.current().request(method, url);
        Ok(match &self.identity {
            Some(identity) => {
                let (name, value) = identity.header();
                builder.header(name, value)
            }
            None => builder,
        })
    }

    /// Sends a request and waits for the headers of its answer. A redirect is none.
    pub async fn send(
        &self,
        at: usize,
        about: &str,
        request: RequestBuilder,
        limit: Duration,
    ) -> Result<Response, Failure> {
        let label = self.label(at);
        let sent = timeout(limit, request.send()).await.map_err(|_| late(label, about, limit))?;
        let response = sent.map_err(|error| self.transport(at, about, error))?;
        let status = response.status();
        if status.is_redirection() {
            let what = format!("the answer is a redirect ({status}), which is not followed");
            return Err(Failure::Doubtful(unexpected(label, about, what)));
        }
        Ok(response)
    }

    /// Reads the rest of an answer. Its parts may be a time limit apart; the whole call has its own limit.
    pub async fn body(&self, at: usize, about: &str, response: &mut Response) -> Result<Vec<u8>, Failure> {
        let label = self.label(at);
        let mut body = Vec::new();
        if response.content_length().is_some_and(|length| length > BODY_LIMIT as u64) {
            return Err(too_large(label, about));
        }
        loop {
            let part = timeout(self.limit(), response.chunk()).await.map_err(|_| late(label, about, self.limit()))?;
            let Some(part) = part.map_err(|error| self.transport(at, about, error))? else { return Ok(body) };
            if body.len() + part.len() > BODY_LIMIT {
                return Err(too_large(label, about));
            }
            body.extend_from_slice(&part);
        }
    }

    fn transport(&self, at: usize, about: &str, error: reqwest::Error) -> Failure {
        transport(self.label(at), about, self.lost, self.client.fault().as_deref(), error)
    }
}

/// Nobody asks again: every endpoint would send as much.
fn too_large(label: &str, about: &str) -> Failure {
    let limit = BODY_LIMIT >> 20;
    let message = format!(
        "{label}: {about}: the answer is longer than {limit} MiB: divide the directory, or write smaller values"
    );
    Failure::Final(Error::new(ErrorKind::TooLarge, message))
}
