//! One long poll: it ends with the first event, or with none.

use std::time::Duration;

use registry_address::Server;
use registry_core::{Error, Index};
use registry_http::{BODY_LIMIT, Failure, unexpected};
use reqwest::{Method, Response};
use tokio::time::{Instant, timeout, timeout_at};

use crate::answer::outcome;
use crate::endpoints::Endpoints;
use crate::error::Refusal;
use crate::wire::Event;

/// A poll whose headers have arrived. They come at once: the server sends them before it waits.
pub(crate) struct Poll {
    /// Where the server's history stood when the poll began. Everything up to here has been searched for events.
    pub(crate) index: Index,
    endpoint: String,
    path: String,
    limit: Duration,
    response: Response,
    body: Vec<u8>,
}

/// How a poll ended.
pub(crate) enum Waited {
    Event(Box<Event>),
    /// Nothing has come in time.
    Silent,
    /// The server, or something on the way, closed the connection: that says nothing at all.
    Closed,
    /// What came is no event.
    Broken(Error),
}

impl Endpoints {
    /// Asks an endpoint for the first event of `path` at `wait_index` or after it.
    pub(crate) async fn poll(
        &self,
        at: Server,
        path: &str,
        recursive: bool,
        wait_index: u64,
    ) -> Result<Result<Poll, Refusal>, Failure> {
        debug_assert!(wait_index > 0, "the server takes 0 for `from now on`");
        // Never `stream=true`: with an index in the past the server sends one event and then none.
        let mut query = format!("wait=true&waitIndex={wait_index}");
        if recursive {
            query.push_str("&recursive=true");
        }
        let builder = self.prepare(at, &Method::GET, path, &query)?;
        let mut response = self.head(at, path, builder).await?;
        let index = self.index(at, path, &mut response).await?;
        let (endpoint, path) = (self.label(at), path.to_owned());
        if response.status().is_success() {
            let (limit, body) = (self.limit(), Vec::new());
            return Ok(Ok(Poll { index, endpoint, path, limit, response, body }));
        }
        let body = self.body(at, &path, &mut response).await?;
        match outcome(&endpoint, &path, response.status(), index, body).map_err(Failure::Doubtful)? {
            Err(refusal) => Ok(Err(refusal)),
            Ok(_) => Err(Failure::Doubtful(unexpected(&endpoint, &path, "the answer to a watch is not an event"))),
        }
    }
}

impl Poll {
    /// Waits for the event for this long. One that has begun to arrive may take its time.
    pub(crate) async fn wait(&mut self, slice: Duration) -> Waited {
        let end = Instant::now() + slice;
        loop {
            let part = if self.body.is_empty() {
                match timeout_at(end, self.response.chunk()).await {
                    Ok(part) => part,
                    Err(_) => return Waited::Silent,
                }
            } else {
                match timeout(self.limit, self.response.chunk()).await {
                    Ok(part) => part,
                    Err(_) => return Waited::Closed,
                }
            };
            match part {
                Ok(Some(part)) if self.body.len() + part.len() > BODY_LIMIT => {
                    let what = format!("an event is longer than {} MiB", BODY_LIMIT >> 20);
                    return Waited::Broken(unexpected(&self.endpoint, &self.path, what));
                }
                Ok(Some(part)) => self.body.extend_from_slice(&part),
                Ok(None) => return self.parse(),
                Err(_) => return Waited::Closed,
            }
        }
    }

    fn parse(&self) -> Waited {
        match serde_json::from_slice(&self.body) {
            Ok(event) => Waited::Event(Box::new(event)),
            // An empty or cut body: the server was stopped, or has dropped a watcher that was too slow.
            Err(error) if error.is_eof() => Waited::Closed,
            Err(error) => {
                Waited::Broken(unexpected(&self.endpoint, &self.path, "what came is no event").because(error))
            }
        }
    }
}
