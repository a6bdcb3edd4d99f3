//! Staying, changing and going: everything that only the owner of an entry may do.

use std::time::Duration;

use etcd_client::{Compare, CompareOp, GetOptions, PutOptions, Txn, TxnOp};
use registry_core::{Bytes, Error, ErrorKind, Index, Key, Lease, Removed, Result};
use tokio::time::sleep;

use crate::backend::Inner;
use crate::connection::Connection;
use crate::endpoints::Task;
use crate::error::{Answer, Failure};
use crate::wire::{Decision, Seen, decision, etcd_lease, stamp};

/// A server that hangs holds a keepalive for eight seconds; by then a short lease has run out.
const KEEPALIVE_LIMIT: Duration = Duration::from_secs(1);
/// After this long without an answer from a round a renewal is asked alone.
const PATIENCE: Duration = Duration::from_millis(300);
/// How far one member of a healthy cluster may lag behind another.
const LAG: Duration = Duration::from_millis(200);
/// How often an update adapts to a change of the entry by another holder of the same lease.
const UPDATES: usize = 3;

impl Inner {
    pub(crate) async fn renew(&self, lease: &Lease) -> Result<()> {
        let task = Task::new("renew", lease.key().as_str());
        let (id, in_use) = (owned(&task, lease)?, self.endpoints.in_use());
        // A caller that gives up has waited for this endpoint from here on.
        let attempt = in_use.as_ref().map(|connection| self.endpoints.attempt_on(connection));
        // Before any of the ways around a failure is prepared: nearly all renewals need none of them.
        let together = match &in_use {
            Some(connection) => self.renew_together(connection, lease, id).await,
            None => None,
        };
        let answers = match together {
            Some(answers) => Ok(answers),
            None => Box::pin(self.renew_anywhere(&task, lease, id, in_use.as_ref())).await,
        };
        if let Some(attempt) = attempt {
            attempt.over();
        }
        let (alive, seen) = answers?;
        match &seen.record {
            Some(record) if record.lease == id && alive => self.same_history(&task, lease, id, seen.index),
            _ => Err(Box::pin(self.why_lost(&task, lease, id, seen)).await),
        }
    }

    /// In a round on this connection; `None` when nothing has come of that.
    async fn renew_together(&self, connection: &Connection, lease: &Lease, id: i64) -> Option<(bool, Seen)> {
        connection.rounds().join(id, self.paths.key(lease.key()), patience(lease)).await
    }

    /// On one endpoint after the other, in a round if it has one, or else alone. On the connection that was `tried`, no round has
    /// answered in time.
    async fn renew_anywhere(
        &self,
        task: &Task<'_>,
        lease: &Lease,
        id: i64,
        tried: Option<&Connection>,
    ) -> Result<(bool, Seen)> {
        let path = &self.paths.key(lease.key());
        let request = |connection: Connection| async move {
            if !tried.is_some_and(|tried| tried.is(&connection))
                && let Some(answers) = self.renew_together(&connection, lease, id).await
            {
                return Ok(answers);
            }
            // An old server may confirm a lease that is revoked, and an entry may be removed while its lease lives: neither
            // request says enough without the other.
            let (alive, seen) = tokio::join!(keep_alive(&connection, id), see(&connection, path));
            Ok((alive?, seen?))
        };
        // What was waited for a round is part of what an endpoint is given.
        let spent = if tried.is_some() { patience(lease) } else { Duration::ZERO };
        Ok(self.endpoints.ask_within(task, KEEPALIVE_LIMIT.saturating_sub(spent), request).await?)
    }

    pub(crate) async fn update(&self, lease: &Lease, value: Bytes) -> Result<Lease> {
        let task = Task::new("update", lease.key().as_str());
        let (path, id) = (self.paths.key(lease.key()), owned(&task, lease)?);
        for _ in 0..UPDATES {
            match self.replace(&task, &path, id, lease.mark(), &value).await? {
                (Decision::Done, index) => {
                    self.same_history(&task, lease, id, index)?;
                    lease.set_mark(index.position());
                    return self.renewed(&task, lease, id).await;
                }
                (Decision::Refused(Some(record)), index) if record.lease == id => {
                    self.same_history(&task, lease, id, index)?;
                    lease.set_mark(record.mod_revision.unsigned_abs());
                    // Our own update, whose answer was lost.
                    if record.value == value {
                        return self.renewed(&task, lease, id).await;
                    }
                }
                (Decision::Refused(record), index) => {
                    return Err(self.why_lost(&task, lease, id, Seen { record, index }).await);
                }
            }
        }
        Err(task.error(ErrorKind::Unavailable, "another holder of this lease updates the entry at the same time"))
    }

    /// Replaces the value of an entry that is as we know it.
    ///
    /// The revision is compared beside the lease: an update that a hung server has kept for later must not undo a newer
    /// one. It also makes the request repeatable.
    async fn replace(
        &self,
        task: &Task<'_>,
        path: &str,
        id: i64,
        mark: u64,
        value: &Bytes,
    ) -> Result<(Decision, Index)> {
        let when = vec![
            Compare::lease(path, CompareOp::Equal, id),
            Compare::mod_revision(path, CompareOp::Equal, mark.cast_signed()),
        ];
        let put = TxnOp::put(path, value.as_ref(), Some(PutOptions::new().with_lease(id)));
        let txn = Txn::new().when(when).and_then([put]).or_else([TxnOp::get(path, None)]);
        let request = |connection: Connection| {
            let txn = txn.clone();
            async move { decision(connection.kv().txn(txn).await?.0) }
        };
        Ok(self.endpoints.ask(task, request).await?)
    }

    /// A put does not start the time to live anew; a keepalive does.
    async fn renewed(&self, task: &Task<'_>, lease: &Lease, id: i64) -> Result<Lease> {
        let request = |connection: Connection| async move { keep_alive(&connection, id).await };
        if self.endpoints.ask_within(task, KEEPALIVE_LIMIT, request).await? {
            Ok(lease.clone())
        } else {
            Err(task.error(ErrorKind::LeaseLost, "its lease has ended: it expired, or was revoked"))
        }
    }

    /// Refuses an answer out of a history in which our registration has not happened yet.
    fn same_history(&self, task: &Task<'_>, lease: &Lease, id: i64, now: Index) -> Result<()> {
        let token = lease.token();
        if now.same_epoch(token) && now.position() >= token.position() {
            return Ok(());
        }
        // A restored backup may hold our entry of long ago: it is ours to take over, not somebody else's.
        self.orphans.add(&self.paths.key(lease.key()), id);
        Err(task.error(ErrorKind::LeaseLost, "the server has lost its history: it was wiped or restored"))
    }

    /// Why a lease does not hold its entry any more.
    async fn why_lost(&self, task: &Task<'_>, lease: &Lease, id: i64, seen: Seen) -> Error {
        if let Err(error) = self.same_history(task, lease, id, seen.index) {
            return error;
        }
        match seen.record {
            Some(record) if record.lease != id => {
                return task.error(ErrorKind::Conflict, "somebody else has taken the name over");
            }
            Some(_) => return task.error(ErrorKind::LeaseLost, "its lease has ended: it expired, or was revoked"),
            None => {}
        }
        // The entry is gone. Whether its lease is too tells an eviction from an expiry. The leader knows the leases, and
        // may apply a revocation later than the member that showed us the entry gone: eviction is final, so ask twice.
        for wait in [Duration::ZERO, LAG] {
            sleep(wait).await;
            match self.endpoints.ask(task, |connection| async move { is_alive(&connection, id).await }).await {
                Ok(true) => {}
                Ok(false) => {
                    return task.error(ErrorKind::LeaseLost, "its lease has ended: it expired, or was revoked");
                }
                Err(failed) => return failed.error,
            }
        }
        task.error(ErrorKind::Evicted, "the entry was removed while its lease lived")
    }

    pub(crate) async fn deregister(&self, lease: &Lease) -> Result<()> {
        let task = Task::new("deregister", lease.key().as_str());
        let (path, id) = (self.paths.key(lease.key()), owned(&task, lease)?);
        let mine = Compare::lease(path.as_str(), CompareOp::Equal, id);
        let txn = Txn::new().when([mine]).and_then([TxnOp::delete(path.as_str(), None)]);
        let request = |connection: Connection| {
            let txn = txn.clone();
            async move { Ok(connection.kv().txn(txn).await?) }
        };
        self.endpoints.ask(&task, request).await?;
        // The lease is left to expire: for as long as it lives, `why_removed` tells that the entry did not expire with it.
        Ok(())
    }

    /// An entry expires with its lease. So one whose lease lives was removed by somebody.
    pub(crate) async fn why_removed(&self, key: &Key, at: Index) -> Result<Removed> {
        let (task, path) = (Task::new("why_removed", key.as_str()), self.paths.key(key));
        let Some(before) = i64::try_from(at.position()).ok().filter(|at| *at > 1).map(|at| at - 1) else {
            return Ok(Removed::Unknown);
        };
        let request = |connection: Connection| {
            let (path, options) = (path.as_str(), GetOptions::new().with_keys_only().with_revision(before));
            async move { Ok(connection.kv().get(path, Some(options)).await?.0) }
        };
        let lease = match self.endpoints.ask(&task, request).await {
            Ok(response) if stamp(response.header.as_ref()).is_ok_and(|now| now.same_epoch(at)) => {
                response.kvs.first().map(|record| record.lease)
            }
            Ok(_) => None,
            Err(failed) if failed.error.kind() == ErrorKind::Compacted => None,
            Err(failed) => return Err(failed.error),
        };
        match lease {
            // It is not known what held the entry.
            None => Ok(Removed::Unknown),
            // Without a lease nothing expires.
            Some(0) => Ok(Removed::Deleted),
            Some(id) => {
                let alive = self.endpoints.ask(&task, |connection| async move { is_alive(&connection, id).await });
                Ok(if alive.await? { Removed::Deleted } else { Removed::Expired })
            }
        }
    }

    pub(crate) async fn remove(&self, key: &Key) -> Result<bool> {
        let task = Task::new("remove", key.as_str());
        let path = self.paths.key(key);
        // Asked first, because a deletion whose answer was lost finds nothing when it is repeated.
        let (found, _) = self.look_up(&task, &path).await?;
        if found.is_none() {
            return Ok(false);
        }
        let delete = |connection: Connection| {
            let path = path.as_str();
            async move { Ok(connection.kv().delete(path, None).await?) }
        };
        self.endpoints.ask(&task, delete).await?;
        Ok(true)
    }
}

/// How long a round is waited for. Most of the time that there is for a short lease is left to finding an endpoint that answers.
fn patience(lease: &Lease) -> Duration {
    PATIENCE.min(lease.ttl() / 12)
}

/// The etcd lease of a lease that may have come from anywhere.
fn owned(task: &Task<'_>, lease: &Lease) -> Result<i64> {
    etcd_lease(lease).ok_or_else(|| task.error(ErrorKind::InvalidInput, "this lease is not one of etcd's"))
}

/// Starts the time to live anew. False: the lease is gone.
///
/// On a stream of its own, which the next renewals may use.
async fn keep_alive(connection: &Connection, id: i64) -> Answer<bool> {
    match connection.leases().keep_alive(id).await {
        Ok((keeper, stream)) => {
            if !connection.is_condemned() {
                connection.rounds().keep(connection.kv(), keeper, stream);
            }
            Ok(true)
        }
        // These are the words of the client library for an answer without time to live.
        Err(etcd_client::Error::LeaseKeepAliveError(reason)) if reason == "lease not found" => Ok(false),
        Err(error) => match Failure::from(error) {
            failure if failure.kind == ErrorKind::LeaseLost => Ok(false),
            failure => Err(failure),
        },
    }
}

async fn is_alive(connection: &Connection, id: i64) -> Answer<bool> {
    match connection.leases().time_to_live(id, None).await.map_err(Failure::from) {
        Ok(response) => Ok(response.ttl() > 0),
        Err(failure) if failure.kind == ErrorKind::LeaseLost => Ok(false),
        Err(failure) => Err(failure),
    }
}

async fn see(connection: &Connection, path: &str) -> Answer<Seen> {
    let options = GetOptions::new().with_keys_only();
    let response = connection.kv().get(path, Some(options)).await?.0;
    let index = stamp(response.header.as_ref())?;
    Ok(Seen { record: response.kvs.into_iter().next(), index })
}
