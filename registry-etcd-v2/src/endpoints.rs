//! What a server is asked, and how its answer is read.

use std::time::Duration;

use registry_address::{Address, Server};
use registry_core::{Error, ErrorKind, Index, Result};
use registry_http::{Failure, Identity, Repeat, unexpected};
use reqwest::{Method, RequestBuilder, Response, StatusCode};

use crate::answer::{Answer, cannot_serve, outcome, switched_off};
use crate::paths::encode;
use crate::wire;

/// A request that any of the endpoints may be given.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    /// The path on the server, not encoded.
    pub(crate) path: &'a str,
    pub(crate) query: String,
    pub(crate) form: Vec<(&'static str, String)>,
    pub(crate) repeat: Repeat,
}

#[derive(Debug)]
pub(crate) struct Endpoints {
    all: registry_http::Endpoints,
    /// For messages.
    user: Option<String>,
}

impl Endpoints {
    pub(crate) fn new(address: &Address) -> Result<Self> {
        let all = registry_http::Endpoints::new(address, Identity::basic(address)?, "")?;
        Ok(Self { all, user: address.user.clone() })
    }

    pub(crate) fn labels(&self) -> Vec<String> {
        self.all.labels()
    }

    pub(crate) fn limit(&self) -> Duration {
        self.all.limit()
    }

    pub(crate) fn label(&self, at: Server) -> String {
        self.all.label(at)
    }

    pub(crate) fn current(&self) -> Server {
        self.all.current()
    }

    /// Asks one endpoint after the other until one answers.
    pub(crate) async fn ask(&self, request: &Request<'_>) -> Result<Answer> {
        let _turn = self.all.turn().await;
        let (answer, doubtful) = self.call(request.repeat, |at| self.ask_one(at, request)).await?;
        Ok(Answer { doubtful, ..answer })
    }

    /// Does something with one endpoint after the other until it succeeds.
    pub(crate) async fn call<T, F>(&self, repeat: Repeat, ask: impl Fn(Server) -> F) -> Result<(T, bool)>
    where
        F: Future<Output = std::result::Result<T, Failure>>,
    {
        self.all.call(repeat, ask).await
    }

    /// One request to one endpoint, from the first byte to the last.
    async fn ask_one(&self, at: Server, request: &Request<'_>) -> std::result::Result<Answer, Failure> {
        let Request { method, path, query, form, .. } = request;
        let mut builder = self.prepare(at, method, path, query)?;
        if !form.is_empty() {
            builder = builder.form(form);
        }
        let mut response = self.head(at, path, builder).await?;
        let index = self.index(at, path, &mut response).await?;
        let body = self.body(at, path, &mut response).await?;
        let endpoint = self.label(at);
        let outcome = outcome(&endpoint, path, response.status(), index, body).map_err(Failure::Doubtful)?;
        self.all.prove(at);
        Ok(Answer { endpoint, index, outcome, doubtful: false })
    }

    pub(crate) fn prepare(
        &self,
        at: Server,
        method: &Method,
        path: &str,
        query: &str,
    ) -> std::result::Result<RequestBuilder, Failure> {
        self.all.request(at, method.clone(), &format!("/v2/keys{}", encode(path)), query, path)
    }

    /// Sends a request and waits for the headers of its answer.
    pub(crate) async fn head(
        &self,
        at: Server,
        path: &str,
        builder: RequestBuilder,
    ) -> std::result::Result<Response, Failure> {
        self.all.send(at, path, builder, self.limit()).await
    }

    pub(crate) async fn body(
        &self,
        at: Server,
        path: &str,
        response: &mut Response,
    ) -> std::result::Result<Vec<u8>, Failure> {
        self.all.body(at, path, response).await
    }

    /// Decides from the headers whether this is an answer of an etcd that can be used.
    pub(crate) async fn index(
        &self,
        at: Server,
        path: &str,
        response: &mut Response,
    ) -> std::result::Result<Index, Failure> {
        let label = &self.label(at);
        let status = response.status();
        let wrong = |what: String| Failure::Doubtful(unexpected(label, path, what));
        if status == StatusCode::UNAUTHORIZED {
            return Err(Failure::Refused(self.unauthorized(label, path)));
        }
        if status.is_server_error() {
            let body = self.body(at, path, response).await?;
            return Err(Failure::Doubtful(cannot_serve(label, path, status, &body)));
        }
        if !wire::is_json(response.headers()) {
            let body = self.body(at, path, response).await?;
            // The words of Go's HTTP server for a path that it does not serve, which a proxy's error page is not.
            if status == StatusCode::NOT_FOUND && body.starts_with(b"404 page not found") {
                return Err(Failure::Final(switched_off(label)));
            }
            return Err(wrong(format!("the answer ({status}) is not one of etcd v2")));
        }
        match wire::index(response.headers()) {
            Some(index) if index.position() > 0 || !status.is_success() => Ok(index),
            _ => Err(wrong(format!("the answer ({status}) is not one of etcd v2"))),
        }
    }

    fn unauthorized(&self, label: &str, path: &str) -> Error {
        match &self.user {
            None => Error::new(
                ErrorKind::Unauthenticated,
                format!("{label}: {path}: the server wants a user and a password, and none are given"),
            ),
            // etcd v2 does not tell a wrong password from a permission that is missing.
            Some(user) => Error::new(
                ErrorKind::PermissionDenied,
                format!("{label}: {path}: the server refuses user {user:?}: wrong password, or no permission"),
            ),
        }
    }

    /// True when the endpoint was not asked for the majority's consent for so long.
    pub(crate) fn is_unproven(&self, at: Server, since: Duration) -> bool {
        self.all.is_unproven(at, since)
    }

    /// Asks this endpoint, and through it the majority, where the history stands.
    pub(crate) async fn prove(&self, at: Server, path: &str) -> std::result::Result<Index, Failure> {
        let query = "quorum=true".to_owned();
        let request = Request { method: Method::GET, path, query, form: Vec::new(), repeat: Repeat::Freely };
        self.ask_one(at, &request).await.map(|answer| answer.index)
    }
}
