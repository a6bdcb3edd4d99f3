//! One request to one endpoint, and its answer.

use std::time::Duration;

use registry_address::Server;
use registry_core::{Error, ErrorKind};
use reqwest::header::HOST;
use reqwest::{Method, RequestBuilder, Response};
use tokio::time::timeout;

use crate::clients::Made;
use crate::endpoints::Endpoints;
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
        at: Server,
        method: Method,
        path: &str,
        query: &str,
        about: &str,
    ) -> Result<RequestBuilder, Failure> {
        let Made { client, base: mut url, host, .. } = self.clients.of(at).map_err(Failure::Final)?;
        url.set_path(path);
        url.set_query((!query.is_empty()).then_some(query));
        if url.path() != path {
            let label = self.label(at);
            return Err(Failure::Final(Error::invalid_input(format!("{label}: {about:?} cannot stand in a URL"))));
        }
        let builder = client.request(method, url).header(HOST, host);
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
        at: Server,
        about: &str,
        request: RequestBuilder,
        limit: Duration,
    ) -> Result<Response, Failure> {
        let late = |_| late(&self.label(at), about, limit);
        let sent = timeout(limit, request.send()).await.map_err(late)?;
        let response = sent.map_err(|error| self.transport(at, about, error))?;
        let status = response.status();
        if status.is_redirection() {
            let what = format!("the answer is a redirect ({status}), which is not followed");
            return Err(Failure::Doubtful(unexpected(&self.label(at), about, what)));
        }
        Ok(response)
    }

    /// Reads the rest of an answer. Its parts may be a time limit apart; the whole call has its own limit.
    pub async fn body(&self, at: Server, about: &str, response: &mut Response) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        if response.content_length().is_some_and(|length| length > BODY_LIMIT as u64) {
            return Err(too_large(&self.label(at), about));
        }
        loop {
            let late = |_| late(&self.label(at), about, self.limit());
            let part = timeout(self.limit(), response.chunk()).await.map_err(late)?;
            let Some(part) = part.map_err(|error| self.transport(at, about, error))? else { return Ok(body) };
            if body.len() + part.len() > BODY_LIMIT {
                return Err(too_large(&self.label(at), about));
            }
            body.extend_from_slice(&part);
        }
    }

    fn transport(&self, at: Server, about: &str, error: reqwest::Error) -> Failure {
        transport(&self.label(at), about, self.lost, self.clients.fault().as_deref(), error)
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
