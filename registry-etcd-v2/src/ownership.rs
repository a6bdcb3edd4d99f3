//! Who owns an entry, and what only its owner may do.
//!
//! An entry belongs to whoever made the server give it its `createdIndex`: creating an entry and taking it over both
//! make a new one, and it grows with every owner. Renewing (`refresh`) and updating keep it, and are guarded by
//! `prevIndex`, the `modifiedIndex` that the owner saw last. So a guard that fails is not yet a loss: the entry is read,
//! and if it is still ours, the new guard is tried.

use std::time::Duration;

use registry_core::{Bytes, Error, ErrorKind, Index, Lease, Removed, Result, check_value, printable};
use registry_http::{Repeat, unexpected};
use reqwest::Method;

use crate::answer::Answer;
use crate::backend::Inner;
use crate::endpoints::Request;
use crate::error::{Refusal, code};
use crate::paths::is_within;
use crate::poll::Waited;
use crate::register::{seconds, text};
use crate::wire::{Effect, Event, Node};

/// How often a guard may be found outdated in one call. Only another renewal of the same owner outdates it.
const ROUNDS: usize = 5;
/// How long the search for the reason of a loss may take. The server answers at once, or does not know.
const SEARCH_LIMIT: Duration = Duration::from_secs(2);

impl Inner {
    pub(crate) async fn renew(&self, lease: &Lease) -> Result<()> {
        let path = self.prefix.on_server(lease.key().as_str());
        let mut guard = lease.mark();
        for _ in 0..ROUNDS {
            // `prevIndex=0` would be no guard at all.
            if guard == 0 {
                guard = self.own(lease, &path).await?.modified_index;
            }
            let ttl = seconds(lease.ttl()).to_string();
            let form = vec![
                ("refresh", "true".to_owned()),
                ("prevExist", "true".to_owned()),
                ("prevIndex", guard.to_string()),
                ("ttl", ttl),
            ];
            let answer = self.write(Method::PUT, &path, String::new(), form, Repeat::Freely).await?;
            same_history(lease, &answer)?;
            match answer.outcome {
                Ok(body) => {
                    let node = written(&answer.endpoint, &path, &body)?.node;
                    // Only a history that is another one has a stranger's entry at the very same index.
                    if node.created_index != lease.token().position() {
                        return Err(taken(lease));
                    }
                    lease.set_mark(node.modified_index);
                    return Ok(());
                }
                Err(refusal) if refusal.code == code::COMPARE_FAILED => guard = 0,
                Err(refusal) => return Err(self.refused(lease, &path, refusal).await),
            }
        }
        Err(restless(lease))
    }

    pub(crate) async fn update(&self, lease: &Lease, value: &Bytes) -> Result<Lease> {
        check_value(lease.key(), value)?;
        let value = text(lease.key(), value)?;
        let path = self.prefix.on_server(lease.key().as_str());
        for _ in 0..ROUNDS {
            let guard = self.own(lease, &path).await?.modified_index;
            // Without a time to live the entry would stay for ever.
            let form = vec![
                ("value", value.to_owned()),
                ("prevExist", "true".to_owned()),
                ("prevIndex", guard.to_string()),
                ("ttl", seconds(lease.ttl()).to_string()),
            ];
            let answer = self.write(Method::PUT, &path, String::new(), form, Repeat::Freely).await?;
            same_history(lease, &answer)?;
            match answer.outcome {
                Ok(body) => {
                    let node = written(&answer.endpoint, &path, &body)?.node;
                    let updated = Lease::new(lease.key().clone(), lease.id(), lease.token(), lease.ttl());
                    updated.set_mark(node.modified_index);
                    return Ok(updated);
                }
                Err(refusal) if refusal.code == code::COMPARE_FAILED => {}
                Err(refusal) => return Err(self.refused(lease, &path, refusal).await),
            }
        }
        Err(restless(lease))
    }

    pub(crate) async fn deregister(&self, lease: &Lease) -> Result<()> {
        let path = self.prefix.on_server(lease.key().as_str());
        for _ in 0..ROUNDS {
            let guard = match self.find(lease, &path).await {
                Ok(Ok(node)) => node.modified_index,
                Ok(Err(refusal)) if refusal.is_absence() => return Ok(()),
                Ok(Err(refusal)) => return Err(refusal.into_error(&path)),
                Err(error) if error.is_lost() => return Ok(()),
                Err(error) => return Err(error),
            };
            let query = format!("prevIndex={guard}");
            let answer = self.write(Method::DELETE, &path, query, Vec::new(), Repeat::Freely).await?;
            match answer.outcome {
                Ok(body) => return written(&answer.endpoint, &path, &body).map(|_| ()),
                Err(refusal) if refusal.code == code::COMPARE_FAILED => {}
                Err(refusal) if refusal.is_absence() => return Ok(()),
                Err(refusal) => return Err(refusal.into_error(&path)),
            }
        }
        Err(restless(lease))
    }

    /// The entry as it is now, if it is this lease's.
    async fn own(&self, lease: &Lease, path: &str) -> Result<Node> {
        match self.find(lease, path).await? {
            Ok(node) => Ok(node),
            Err(refusal) => Err(self.refused(lease, path, refusal).await),
        }
    }

    async fn find(&self, lease: &Lease, path: &str) -> Result<std::result::Result<Node, Refusal>> {
        let answer = self.read(path).await?;
        same_history(lease, &answer)?;
        let body = match answer.outcome {
            Ok(body) => body,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let node = written(&answer.endpoint, path, &body)?.node;
        if node.dir || node.created_index != lease.token().position() {
            return Err(taken(lease));
        }
        Ok(Ok(node))
    }

    /// Why the server does not find our entry.
    async fn refused(&self, lease: &Lease, path: &str, refusal: Refusal) -> Error {
        match refusal.code {
            code::KEY_NOT_FOUND => match tokio::time::timeout(SEARCH_LIMIT, self.why_gone(lease, path)).await {
                Ok(Some(error)) => error,
                Ok(None) | Err(_) => lost(lease, "the entry is gone, and the server does not remember why"),
            },
            // A directory stands in its place.
            code::NOT_A_FILE | code::NOT_A_DIRECTORY => taken(lease),
            _ => refusal.into_error(path),
        }
    }

    /// Looks the reason up in the server's history, which renewals do not show in; `None`: it is not known.
    async fn why_gone(&self, lease: &Lease, path: &str) -> Option<Error> {
        let mut after = lease.mark();
        loop {
            let at = self.endpoints.current();
            // Where the entry went there is an event: the answer comes at once, or the history is gone (a refusal).
            let mut poll = self.endpoints.poll(at, path, false, after.saturating_add(1)).await.ok()?.ok()?;
            if !poll.index.same_epoch(lease.token()) {
                return None;
            }
            let Waited::Event(event) = poll.wait(SEARCH_LIMIT).await else { return None };
            let Event { node, prev_node, .. } = &*event;
            if node.modified_index <= after {
                return None;
            }
            after = node.modified_index;
            // The history of `/foo` is told to those who ask for `/foobar`, too.
            let concerns_us = if node.dir { is_within(path, &node.key) } else { node.key == path };
            if !concerns_us {
                continue;
            }
            let ours = |node: &Node| node.created_index == lease.token().position();
            match event.effect()? {
                Effect::Updated if ours(node) => {}
                Effect::Removed(Removed::Deleted) if node.dir || prev_node.as_ref().is_some_and(ours) => {
                    let message = format!("{}: the entry was removed", lease.key());
                    return Some(Error::new(ErrorKind::Evicted, message));
                }
                Effect::Removed(_) => return Some(lost(lease, "its time to live ran out")),
                Effect::Created | Effect::Updated => return Some(taken(lease)),
            }
        }
    }

    pub(crate) async fn write(
        &self,
        method: Method,
        path: &str,
        query: String,
        form: Vec<(&'static str, String)>,
        repeat: Repeat,
    ) -> Result<Answer> {
        self.endpoints.ask(&Request { method, path, query, form, repeat }).await
    }
}

/// Reads the answer to a write, or to a read of one entry, and sees that it is about this path.
pub(crate) fn written(endpoint: &str, path: &str, body: &[u8]) -> Result<Event> {
    let event: Event = serde_json::from_slice(body)
        .map_err(|error| unexpected(endpoint, path, "the answer is not one of etcd v2").because(error))?;
    if event.node.key != path || event.node.created_index == 0 || event.node.modified_index == 0 {
        let key = printable(&event.node.key);
        return Err(unexpected(endpoint, path, format!("the answer is about {key:?}")));
    }
    Ok(event)
}

/// A server that lost its data has another history, or an older one.
fn same_history(lease: &Lease, answer: &Answer) -> Result<()> {
    let (now, known) = (answer.index, Index::new(lease.token().epoch(), lease.mark()));
    // An answer without a position says nothing about the entry either.
    if now.position() == 0 || (now.same_epoch(known) && now.position() >= known.position()) {
        return Ok(());
    }
    Err(lost(lease, "the server's history is another one"))
}

fn lost(lease: &Lease, why: &str) -> Error {
    Error::new(ErrorKind::LeaseLost, format!("{}: {why}", lease.key()))
}

fn taken(lease: &Lease) -> Error {
    Error::new(ErrorKind::Conflict, format!("{}: somebody else has taken the name over", lease.key()))
}

fn restless(lease: &Lease) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{}: the entry changes faster than it can be read", lease.key()))
}
