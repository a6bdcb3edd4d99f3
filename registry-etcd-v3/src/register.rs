//! Coming into being: a lease is granted, then the entry is put with it, if the condition holds.

use std::time::Duration;

use etcd_client::proto::PbKeyValue;
use etcd_client::{Compare, CompareOp, PutOptions, Txn, TxnOp};
use registry_core::{Bytes, Condition, ErrorKind, Index, Key, Lease, Result};

use crate::backend::Inner;
use crate::connection::Connection;
use crate::endpoints::{Failed, Task};
use crate::error::Failure;
use crate::orphans::Pending;
use crate::wire::{Decision, decision, lease_id, stamp};

/// What became of an attempt to put the entry.
enum Put {
    /// It stands since this point of the history.
    Done(Index),
    /// The condition did not hold; this is what is there.
    Refused(Option<PbKeyValue>),
}

impl Inner {
    pub(crate) async fn register(&self, key: &Key, value: Bytes, condition: Condition, ttl: Duration) -> Result<Lease> {
        let task = Task::new("register", key.as_str());
        let path = self.paths.key(key);
        let (id, granted) = self.grant(&task, ttl).await?;
        let pending = Pending::new(&self.orphans, &path, id);
        match self.put_as_new(&task, &path, &value, id, condition).await {
            Ok(Put::Done(token)) => {
                pending.settle();
                self.revoke_orphans(&task).await;
                Ok(Lease::new(key.clone(), lease_id(id), token, granted))
            }
            Ok(Put::Refused(record)) => {
                self.revoke_pending(&task, pending, id).await;
                let reason = match record {
                    Some(_) => "the name is held by somebody else",
                    None => "nobody holds the name, and that was the condition",
                };
                Err(task.error(ErrorKind::Conflict, reason))
            }
            Err(failed) => {
                // A put that is still on its way fails when its lease is gone: what we report as failed stays failed.
                self.revoke_pending(&task, pending, id).await;
                Err(match failed.error.kind() {
                    // The lease ran out between two requests, when this process was frozen. Nothing was lost yet.
                    ErrorKind::LeaseLost => task.error(ErrorKind::Unavailable, "the lease ran out before it was used"),
                    _ => failed.error,
                })
            }
        }
    }

    async fn grant(&self, task: &Task<'_>, ttl: Duration) -> Result<(i64, Duration)> {
        // etcd counts whole seconds; less than what was asked for is never granted.
        let seconds = i64::try_from(ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0)).unwrap_or(i64::MAX);
        // Asked twice, a lease too many is granted; it runs out by itself.
        let grant = |connection: Connection| async move {
            let response = connection.leases().grant(seconds, None).await?;
            match u64::try_from(response.ttl()) {
                Ok(granted) if granted > 0 && response.id() != 0 => Ok((response.id(), Duration::from_secs(granted))),
                _ => Err(Failure::unexpected("the server granted a lease without a time to live")),
            }
        };
        Ok(self.endpoints.ask(task, grant).await?)
    }

    /// Puts the entry under the condition, and takes it over when it is our own of an earlier attempt.
    async fn put_as_new(
        &self,
        task: &Task<'_>,
        path: &str,
        value: &Bytes,
        id: i64,
        condition: Condition,
    ) -> Result<Put, Failed> {
        let when = match condition {
            Condition::Any => vec![],
            Condition::Absent => vec![Compare::create_revision(path, CompareOp::Equal, 0)],
            Condition::Present => vec![Compare::create_revision(path, CompareOp::Greater, 0)],
        };
        match self.put(task, path, value, id, when).await? {
            Put::Refused(Some(record)) if self.orphans.has(path, record.lease) => {
                let when = vec![
                    Compare::lease(path, CompareOp::Equal, record.lease),
                    Compare::mod_revision(path, CompareOp::Equal, record.mod_revision),
                ];
                self.put(task, path, value, id, when).await
            }
            put => Ok(put),
        }
    }

    /// Puts the entry with the lease, and looks it up when the answer was lost.
    async fn put(
        &self,
        task: &Task<'_>,
        path: &str,
        value: &Bytes,
        id: i64,
        when: Vec<Compare>,
    ) -> Result<Put, Failed> {
        let put = TxnOp::put(path, value.as_ref(), Some(PutOptions::new().with_lease(id)));
        let txn = Txn::new().when(when).and_then([put]).or_else([TxnOp::get(path, None)]);
        let request = |connection: Connection| {
            let txn = txn.clone();
            async move { decision(connection.kv().txn(txn).await?.0) }
        };
        match self.endpoints.ask_once(task, request).await {
            Ok((Decision::Done, index)) => Ok(Put::Done(index)),
            Ok((Decision::Refused(record), _)) => Ok(Put::Refused(record)),
            Err(failed) if failed.maybe_done => match self.look_up(task, path).await {
                Ok((Some(record), index)) if record.lease == id => {
                    Ok(Put::Done(Index::new(index.epoch(), record.mod_revision.unsigned_abs())))
                }
                _ => Err(failed),
            },
            Err(failed) => Err(failed),
        }
    }

    /// What the cluster, not only one member of it, has under a key.
    pub(crate) async fn look_up(&self, task: &Task<'_>, path: &str) -> Result<(Option<PbKeyValue>, Index), Failed> {
        let get = |connection: Connection| async move {
            let response = connection.kv().get(path, None).await?.0;
            let index = stamp(response.header.as_ref())?;
            Ok((response.kvs.into_iter().next(), index))
        };
        self.endpoints.ask(task, get).await
    }

    async fn revoke_pending(&self, task: &Task<'_>, pending: Pending<'_>, id: i64) {
        if self.revoke(task, id).await {
            pending.settle();
        }
    }

    /// Ends a lease. True when it is certainly gone.
    pub(crate) async fn revoke(&self, task: &Task<'_>, id: i64) -> bool {
        let revoke = |connection: Connection| async move {
            match connection.leases().revoke(id).await.map_err(Failure::from) {
                Err(failure) if failure.kind == ErrorKind::LeaseLost => Ok(()),
                result => result.map(drop),
            }
        };
        match self.endpoints.ask(task, revoke).await {
            Ok(()) => true,
            Err(failed) => {
                tracing::debug!(error = %failed.error, "could not revoke a lease; its time to live will end it");
                false
            }
        }
    }

    /// Ends the leases of earlier registrations that nobody has. The first failure ends this: there will be another time.
    async fn revoke_orphans(&self, task: &Task<'_>) {
        while let Some(orphan) = self.orphans.take() {
            if !self.revoke(task, orphan.lease).await {
                self.orphans.add(&orphan.path, orphan.lease);
                return;
            }
        }
    }
}
