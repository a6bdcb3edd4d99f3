//! How an entry becomes ours.

use std::time::Duration;

use registry_core::{Bytes, Condition, Error, ErrorKind, Index, Key, Lease, Result};
use registry_http::Repeat;
use reqwest::Method;

use crate::answer::Answer;
use crate::backend::Inner;
use crate::error::{Refusal, code};
use crate::ownership::written;
use crate::wire::Event;

impl Inner {
    pub(crate) async fn register(
        &self,
        key: &Key,
        value: &Bytes,
        ttl: Duration,
        condition: Condition,
    ) -> Result<Lease> {
        let value = text(key, value)?;
        let claim = Claim { key, path: self.prefix.on_server(key.as_str()), value, ttl: seconds(ttl) };
        match condition {
            Condition::Any => self.set(&claim, Repeat::Freely).await.map(|(lease, _)| lease),
            Condition::Absent => self.create(&claim).await,
            Condition::Present => self.take_over(&claim).await,
        }
    }

    /// Creates or replaces: either gives the entry a new `createdIndex`, by which its former owner sees the loss.
    async fn set(&self, claim: &Claim<'_>, repeat: Repeat) -> Result<(Lease, Event)> {
        let answer = self.write(Method::PUT, &claim.path, String::new(), claim.form(), repeat).await?;
        claim.granted(answer)?.map_err(|refusal| refusal.into_error(&claim.path))
    }

    async fn create(&self, claim: &Claim<'_>) -> Result<Lease> {
        let mut form = claim.form();
        form.push(("prevExist", "false".to_owned()));
        let answer = self.write(Method::PUT, &claim.path, String::new(), form, Repeat::Freely).await?;
        let doubtful = answer.doubtful;
        match claim.granted(answer)? {
            Ok((lease, _)) => Ok(lease),
            Err(refusal) if refusal.code == code::NODE_EXISTS && doubtful => Err(self.who_was_it(claim).await),
            Err(refusal) if refusal.code == code::NODE_EXISTS => Err(claim.conflict("somebody has the name already")),
            Err(refusal) => Err(refusal.into_error(&claim.path)),
        }
    }

    /// Replaces an entry that is there. The server has no such operation that gives a new `createdIndex`, so the entry
    /// is read first, and the answer to the write tells whether there was still something to replace. If not (it
    /// vanished in between), what was written is taken back.
    async fn take_over(&self, claim: &Claim<'_>) -> Result<Lease> {
        let absent = || claim.conflict("nobody has the name");
        match self.read(&claim.path).await?.outcome {
            Ok(_) => {}
            Err(refusal) if refusal.code == code::KEY_NOT_FOUND => return Err(absent()),
            Err(refusal) => return Err(refusal.into_error(&claim.path)),
        }
        // Not repeated in doubt: the second time there would always be something to replace, our own first write.
        let (lease, event) = self.set(claim, Repeat::UnlessDoubtful).await?;
        if event.prev_node.is_some() {
            return Ok(lease);
        }
        self.deregister(&lease).await?;
        Err(absent())
    }

    /// After a creation whose answer was lost, and a second one that found an entry. It may be a competitor's, so only
    /// what rules that it is ours out is an answer; the rest is left to its time to live.
    async fn who_was_it(&self, claim: &Claim<'_>) -> Error {
        let competitor = || claim.conflict("somebody else was first");
        let seen = match self.read(&claim.path).await {
            Ok(Answer { endpoint, outcome: Ok(body), .. }) => written(&endpoint, &claim.path, &body),
            Ok(Answer { outcome: Err(refusal), .. }) => Err(refusal.into_error(&claim.path)),
            Err(error) => Err(error),
        };
        match seen {
            Ok(event) if event.node.dir || event.node.value != claim.value => competitor(),
            _ => Error::new(
                ErrorKind::Timeout,
                format!(
                    "{}: the answer was lost, and whether the entry that is there is ours is not known",
                    claim.path
                ),
            ),
        }
    }
}

/// What is asked for.
struct Claim<'a> {
    key: &'a Key,
    path: String,
    value: &'a str,
    ttl: u64,
}

impl Claim<'_> {
    fn form(&self) -> Vec<(&'static str, String)> {
        vec![("value", self.value.to_owned()), ("ttl", self.ttl.to_string())]
    }

    fn granted(&self, answer: Answer) -> Result<std::result::Result<(Lease, Event), Refusal>> {
        let body = match answer.outcome {
            Ok(body) => body,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let event = written(&answer.endpoint, &self.path, &body)?;
        let token = Index::new(answer.index.epoch(), event.node.created_index);
        let lease = Lease::new(self.key.clone(), format!("{token:#}"), token, Duration::from_secs(self.ttl));
        lease.set_mark(event.node.modified_index);
        Ok(Ok((lease, event)))
    }

    fn conflict(&self, why: &str) -> Error {
        Error::new(ErrorKind::Conflict, format!("{}: {why}", self.path))
    }
}

/// Whole seconds are all that the server knows: rounded up, so that the entry lives at least as long as was asked.
/// Never 0, which would be an entry that is gone at once.
pub(crate) fn seconds(ttl: Duration) -> u64 {
    (ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0)).max(1)
}

/// The server stores text: other bytes it would replace, without a word, by U+FFFD.
pub(crate) fn text<'a>(key: &Key, value: &'a Bytes) -> Result<&'a str> {
    std::str::from_utf8(value).map_err(|error| {
        Error::invalid_input(format!("{key}: etcd v2 keeps values in UTF-8 only, and this one is not")).because(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_live_is_rounded_up_and_never_zero() {
        for (ttl, expected) in [(0, 1), (1, 1), (999, 1), (1000, 1), (1001, 2), (15_000, 15)] {
            assert_eq!(seconds(Duration::from_millis(ttl)), expected, "{ttl} ms");
        }
    }
}
