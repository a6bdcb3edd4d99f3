//! Who owns a key, and what only its owner may do.
//!
//! Every registration has a session of its own, and the key is locked by it. Its beginning in the history
//! (`CreateIndex`) is the fencing token: who takes a name over deletes the key and makes it anew in one transaction.

use std::time::Duration;

use registry_core::{Bytes, Condition, Error, ErrorKind, Index, Key, Lease, Result, check_value, printable};
use registry_http::unexpected;
use reqwest::{Method, StatusCode};

use crate::client::Request;
use crate::kv::Inner;
use crate::paths::encode;
use crate::proof::needs;
use crate::wire::{Done, NewSession, Pair, SessionId, Step, StepError, duration, transaction};

/// What opening and renewing a session needs.
const SESSIONS: &str = r#"session_prefix "" { policy = "write" }"#;

/// What came of a transaction.
enum Outcome {
    /// It was carried out; what its last step has left.
    Done(Option<Pair>),
    /// Nothing was carried out. `doubtful`: unless it was, when another agent was asked before.
    Refused { error: StepError, doubtful: bool },
}

impl Inner {
    pub(crate) async fn register(
        &self,
        key: &Key,
        value: &Bytes,
        ttl: Duration,
        condition: Condition,
    ) -> Result<Lease> {
        let session = self.open_session(key, ttl).await?;
        let registered = self.lock(key, value, &session, condition).await;
        match registered {
            Ok(token) => Ok(Lease::new(key.clone(), session, Index::new(0, token), ttl)),
            Err(error) => {
                // If the lock is still under way, it finds no session. What fails here, the time to live does.
                let _ = self.destroy(&session, key).await;
                Err(error)
            }
        }
    }

    async fn open_session(&self, key: &Key, ttl: Duration) -> Result<String> {
        let session = NewSession {
            name: "cluster-control",
            ttl: duration(ttl),
            // With a delay a name could not be had again, not even by its owner, for 15 s.
            lock_delay: "0s",
            behavior: "delete",
            checks: [],
            node_checks: [],
        };
        let body = serde_json::to_vec(&session).map_err(|error| Error::invalid_input("a session").because(error))?;
        let request = Request::new(Method::PUT, "/v1/session/create", key.as_str()).body(body);
        let answer = self.client.call(&request).await.map_err(needs(SESSIONS))?;
        if answer.status != StatusCode::OK {
            return Err(answer.unexpected(key.as_str()));
        }
        let SessionId { id } = answer.json(key.as_str())?;
        let is_plain = |id: &str| id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        if id.is_empty() || id.len() > 64 || !is_plain(&id) {
            return Err(answer.unexpected(key.as_str()));
        }
        Ok(id)
    }

    /// Takes the key for a session under a condition, which the server decides, and returns the token.
    async fn lock(&self, key: &Key, value: &Bytes, session: &str, condition: Condition) -> Result<u64> {
        let path = self.prefix.key(key.as_str());
        let lock = Step::lock(&path, session, value);
        let steps = match condition {
            Condition::Absent => vec![Step::absent(&path), lock],
            Condition::Any => vec![Step::delete(&path), lock],
            Condition::Present => vec![Step::get(&path), Step::delete(&path), lock],
        };
        let refused = match self.transact(&steps, key).await {
            Ok(Outcome::Done(Some(pair))) if pair.is_held_by(session) && pair.key == path => {
                return Ok(pair.create_index);
            }
            Ok(Outcome::Done(_)) => unexpected("transaction", key.as_str(), "the answer is not one of Consul"),
            Ok(Outcome::Refused { error, doubtful: false }) => return Err(refusal(key, &path, condition, &error)),
            Ok(Outcome::Refused { error, doubtful: true }) => refusal(key, &path, condition, &error),
            Err(error) if error.is_unavailable() || error.kind() == ErrorKind::Unexpected => error,
            Err(error) => return Err(error),
        };
        // Whose the key is tells what became of a transaction whose answer was lost.
        match self.find(key).await {
            Ok(Some(pair)) if pair.is_held_by(session) => Ok(pair.create_index),
            _ => Err(refused),
        }
    }

    pub(crate) async fn renew(&self, lease: &Lease) -> Result<()> {
        self.renew_session(lease).await?;
        // A session outlives its key: somebody may have removed or taken it.
        let path = self.prefix.key(lease.key().as_str());
        match self.transact(&[Step::held(&path, lease.id())], lease.key()).await? {
            Outcome::Done(_) => Ok(()),
            Outcome::Refused { error, .. } => Err(self.why(lease, &error.what).await?),
        }
    }

    pub(crate) async fn update(&self, lease: &Lease, value: &Bytes) -> Result<Lease> {
        check_value(lease.key(), value)?;
        self.renew_session(lease).await?;
        let path = self.prefix.key(lease.key().as_str());
        let steps = [Step::held(&path, lease.id()), Step::lock(&path, lease.id(), value)];
        match self.transact(&steps, lease.key()).await? {
            Outcome::Done(_) => Ok(lease.clone()),
            Outcome::Refused { error, .. } => Err(self.why(lease, &error.what).await?),
        }
    }

    /// Ends a session and with it, at once, the key that it holds; a key that is somebody else's is left alone.
    pub(crate) async fn destroy(&self, session: &str, key: &Key) -> Result<()> {
        let path = format!("/v1/session/destroy/{}", encode(session));
        let answer = self.client.call(&Request::new(Method::PUT, path, key.as_str())).await?;
        if answer.status != StatusCode::OK || answer.body.trim_ascii() != b"true" {
            return Err(answer.unexpected(key.as_str()));
        }
        Ok(())
    }

    pub(crate) async fn remove(&self, key: &Key) -> Result<bool> {
        let path = self.prefix.key(key.as_str());
        match self.transact(&[Step::get(&path), Step::delete(&path)], key).await? {
            Outcome::Done(_) => Ok(true),
            Outcome::Refused { error: StepError { op_index: 0, what }, doubtful } if !is_denial(&what) => Ok(doubtful),
            Outcome::Refused { error, .. } => Err(refusal(key, &path, Condition::Any, &error)),
        }
    }

    async fn renew_session(&self, lease: &Lease) -> Result<()> {
        if self.start_anew(lease).await? { Ok(()) } else { Err(self.why(lease, "the session is gone").await?) }
    }

    /// Starts the time of a session anew; false when there is none.
    async fn start_anew(&self, lease: &Lease) -> Result<bool> {
        let path = format!("/v1/session/renew/{}", encode(lease.id()));
        let request = Request::new(Method::PUT, path, lease.key().as_str());
        let answer = self.client.call(&request).await.map_err(needs(SESSIONS))?;
        match answer.status {
            StatusCode::OK => Ok(true),
            // The words tell it from the page of a proxy.
            StatusCode::NOT_FOUND if answer.body.windows(7).any(|words| words.eq_ignore_ascii_case(b"session")) => {
                Ok(false)
            }
            _ => Err(answer.unexpected(lease.key().as_str())),
        }
    }

    /// Why a key is not held by its lease.
    async fn why(&self, lease: &Lease, refused: &str) -> Result<Error> {
        let key = lease.key();
        if is_denial(refused) {
            return Ok(Error::new(ErrorKind::PermissionDenied, format!("{key}: {}", printable(refused))));
        }
        Ok(match self.find(key).await? {
            Some(pair) if pair.is_held_by(lease.id()) => {
                let message = format!("{key}: the key changes faster than it can be read: {}", printable(refused));
                Error::new(ErrorKind::Unavailable, message)
            }
            Some(_) => Error::new(ErrorKind::Conflict, format!("{key}: somebody else has taken the name over")),
            // Asked after the key was looked for: a session that was there before may have ended, and its key with it.
            None if self.start_anew(lease).await? => {
                Error::new(ErrorKind::Evicted, format!("{key}: the entry was removed"))
            }
            None => Error::new(ErrorKind::LeaseLost, format!("{key}: its time to live ran out")),
        })
    }

    /// The key as it is now.
    async fn find(&self, key: &Key) -> Result<Option<Pair>> {
        let path = self.prefix.key(key.as_str());
        let answer = self.read(&path, false, None).await?;
        match answer.status {
            StatusCode::OK => {
                let pairs: Vec<Pair> = answer.json(key.as_str())?;
                let found = pairs.into_iter().find(|pair| pair.key == path);
                found.map(Some).ok_or_else(|| answer.unexpected(key.as_str()))
            }
            StatusCode::NOT_FOUND if answer.index.is_some() => Ok(None),
            _ => Err(answer.unexpected(key.as_str())),
        }
    }

    /// All of the steps or none of them. Without a step that writes it is a read, by a leader that has proven to be one.
    async fn transact(&self, steps: &[Step<'_>], key: &Key) -> Result<Outcome> {
        let request = Request::new(Method::PUT, "/v1/txn", key.as_str()).query("consistent").body(transaction(steps));
        let answer = self.client.call(&request).await?;
        match answer.status {
            StatusCode::OK => {
                let done: Done = answer.json(key.as_str())?;
                match (done.results, done.errors) {
                    (Some(results), None) => Ok(Outcome::Done(results.into_iter().next_back().map(|it| it.kv))),
                    _ => Err(answer.unexpected(key.as_str())),
                }
            }
            StatusCode::CONFLICT => {
                let done: Done = answer.json(key.as_str())?;
                let error = done.errors.and_then(|errors| errors.into_iter().next());
                let error = error.ok_or_else(|| answer.unexpected(key.as_str()))?;
                Ok(Outcome::Refused { error, doubtful: answer.doubtful })
            }
            _ => Err(answer.unexpected(key.as_str())),
        }
    }
}

/// The error for a registration that was refused.
fn refusal(key: &Key, path: &str, condition: Condition, error: &StepError) -> Error {
    let StepError { op_index, what } = error;
    let said = printable(what);
    let (kind, why) = match (condition, op_index) {
        _ if is_denial(what) => (
            ErrorKind::PermissionDenied,
            format!(
                r#"the token does not permit it: {said}: it needs the permission `key "{path}" {{ policy = "write" }}`"#
            ),
        ),
        (Condition::Absent, 0) => (ErrorKind::Conflict, "somebody has the name already".to_owned()),
        (Condition::Present, 0) => (ErrorKind::Conflict, "nobody has the name".to_owned()),
        // A lock delay of a stranger's session, or a session that ended meanwhile: neither lasts.
        _ => (ErrorKind::Unavailable, format!("the key cannot be locked now: {said}")),
    };
    Error::new(kind, format!("{key}: {why}"))
}

fn is_denial(what: &str) -> bool {
    what.contains("ermission denied")
}
