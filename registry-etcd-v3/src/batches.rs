//! From a watch's messages to batches of whole revisions. No input or output: what is decided here is tested here.

use std::collections::VecDeque;

use etcd_client::proto::{PbEvent, PbWatchResponse};
use registry_core::{Batch, Change, Index, Removed, Scope};
use tonic::Code;

use crate::error::{Answer, Failure};
use crate::list::MAX_ENTRIES;
use crate::wire::{Paths, epoch};

/// Puts the events of one watch together.
pub(crate) struct Batches {
    paths: Paths,
    scope: Scope,
    epoch: u64,
    /// Everything up to here was told.
    told: u64,
    /// The revision whose events are being collected, and the changes so far: one revision may come in several messages.
    revision: u64,
    held: Vec<Change>,
    /// Whether this server's progress notifications can be believed.
    true_progress: bool,
    pub(crate) ready: VecDeque<Batch>,
}

impl Batches {
    pub(crate) fn new(paths: Paths, scope: Scope, told: Index, true_progress: bool) -> Self {
        let (epoch, told) = (told.epoch(), told.position());
        Self { paths, scope, epoch, told, revision: told, held: Vec::new(), true_progress, ready: VecDeque::new() }
    }

    /// Takes one message; what it completes is `ready`.
    pub(crate) fn take(&mut self, message: PbWatchResponse) -> Answer<()> {
        if message.canceled {
            return Err(cancelled(&message));
        }
        let Some(header) = &message.header else {
            return Err(Failure::unexpected("a message of the watch has no header"));
        };
        let now = u64::try_from(header.revision).unwrap_or(0);
        if epoch(header) != self.epoch || now < self.told {
            return Err(Failure::compacted("the server has another history: it was wiped, restored or replaced"));
        }
        if message.created {
            return Ok(());
        }
        if message.events.is_empty() {
            self.progress(now);
            return Ok(());
        }
        for event in message.events {
            self.event(event)?;
        }
        // Only the last part of a message that was cut into fragments ends its last revision.
        if !message.fragment {
            self.complete();
        }
        Ok(())
    }

    fn event(&mut self, event: PbEvent) -> Answer<()> {
        let Some(record) = event.kv else {
            tracing::warn!(scope = %self.scope, "skipped an event without a key");
            return Ok(());
        };
        let revision = u64::try_from(record.mod_revision).unwrap_or(0);
        if revision <= self.told {
            return Ok(());
        }
        if revision < self.revision {
            return Err(Failure::unexpected("the events of the watch are not in order"));
        }
        if revision > self.revision {
            self.complete();
            self.revision = revision;
        }
        if self.held.len() == MAX_ENTRIES {
            return Err(Failure::compacted("one revision holds more changes than can be told"));
        }
        // The numbers, because the client library's own accessor panics on one that it does not know.
        match event.r#type {
            0 => self.held.extend(self.paths.entry(&self.scope, self.epoch, record).map(Change::Put)),
            // An expiry, a revocation and a deletion look alike.
            1 => self.held.extend(
                self.paths.name(&self.scope, &record.key).map(|name| Change::Remove { name, reason: Removed::Unknown }),
            ),
            unknown => tracing::warn!(scope = %self.scope, unknown, "skipped an event of a kind that is not known"),
        }
        Ok(())
    }

    /// The collected revision is whole.
    fn complete(&mut self) {
        if self.revision > self.told {
            self.told = self.revision;
            let changes = std::mem::take(&mut self.held);
            self.ready.push_back(Batch { changes, index: Index::new(self.epoch, self.told) });
        }
    }

    fn progress(&mut self, now: u64) {
        // Between two fragments a progress notification says nothing about the rest of the revision.
        if self.true_progress && self.revision == self.told {
            self.told = self.told.max(now);
            self.revision = self.told;
        }
        self.ready.push_back(Batch { changes: Vec::new(), index: Index::new(self.epoch, self.told) });
    }
}

/// Why the server ended a watch. It does so in a message, while the stream stays open.
pub(crate) fn cancelled(message: &PbWatchResponse) -> Failure {
    if message.compact_revision > 0 {
        return Failure::compacted(format!("the history before revision {} is gone", message.compact_revision));
    }
    match message.cancel_reason.as_str() {
        "" => Failure::said(Code::Unavailable, "the server cancelled the watch without a reason"),
        reason => Failure::said(Code::Unavailable, reason),
    }
}

#[cfg(test)]
mod tests;
