//! One open watch of the scripted registry.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::unfold;
use registry_core::{Batch, BatchStream, Change, Index, Removed, Result, Scope};
use tokio::time::{Instant, sleep_until};

use super::error;
use super::fake::{Core, Reasons, Shared};
use super::oracle::batch;
use super::script::{Cut, Plan};

pub(crate) struct Reader {
    shared: Arc<Shared>,
    scope: Scope,
    cursor: Index,
    plan: Option<Plan>,
    /// How much later than the others its replica is.
    behind: Duration,
    /// How many cuts there had been when it was opened.
    cuts: usize,
    told: usize,
    spoken: Instant,
    over: bool,
}

enum Look {
    Tell(Batch),
    Cut(Cut),
    Wait(Instant),
}

pub(crate) fn open(shared: &Arc<Shared>, core: &mut Core, scope: &Scope, after: Index) -> BatchStream {
    core.open += 1;
    core.opened += 1;
    let behind = core.replicas.get(core.opened % core.replicas.len().max(1)).copied().unwrap_or_default();
    let reader = Reader {
        shared: Arc::clone(shared),
        scope: scope.clone(),
        cursor: Index::new(core.oracle.head.epoch(), after.position()),
        plan: core.script.plan(),
        behind,
        cuts: core.cuts.len(),
        told: 0,
        spoken: Instant::now(),
        over: false,
    };
    Box::pin(unfold(reader, Reader::next))
}

impl Reader {
    async fn next(mut self) -> Option<(Result<Batch>, Self)> {
        if self.over {
            return None;
        }
        let shared = Arc::clone(&self.shared);
        loop {
            let changed = shared.signal.notified();
            let look = self.look(&mut shared.core());
            match look {
                Look::Tell(batch) => {
                    self.told += usize::from(!batch.changes.is_empty());
                    self.spoken = Instant::now();
                    return Some((Ok(batch), self));
                }
                Look::Cut(Cut::Fail(kind)) => {
                    self.over = true;
                    return Some((Err(error(kind)), self));
                }
                Look::Cut(Cut::End) => return None,
                Look::Cut(Cut::Silence) => std::future::pending().await,
                Look::Wait(until) => tokio::select! {
                    biased;
                    () = changed => {}
                    () = sleep_until(until) => {}
                },
            }
        }
    }

    fn look(&mut self, core: &mut Core) -> Look {
        core.oracle.expire();
        if let Some(cut) = core.cuts.get(self.cuts) {
            return Look::Cut(*cut);
        }
        if let Some(plan) = self.plan.filter(|plan| self.told >= plan.batches) {
            return Look::Cut(plan.then);
        }
        let head = core.oracle.head;
        if self.cursor.epoch() != head.epoch() {
            // A server that does not notice that its history is another one.
            self.cursor = Index::new(head.epoch(), 0);
        }
        let (now, lag) = (Instant::now(), core.lag + self.behind);
        let most = if core.whole { usize::MAX } else { 1 };
        let ready = core.oracle.after(self.cursor.position()).take_while(|r| r.at + lag <= now);
        if let Some(mut batch) = batch(&self.scope, ready.take(most)) {
            self.cursor = batch.index;
            batch.changes.retain(|change| !core.lost.contains(change.name().as_str()));
            if core.reasons != Reasons::Told {
                for change in &mut batch.changes {
                    if let Change::Remove { reason, .. } = change {
                        *reason = Removed::Unknown;
                    }
                }
            }
            return if batch.changes.is_empty() { self.look(core) } else { Look::Tell(batch) };
        }
        let progress_at = self.spoken + core.able.idle_limit / 3;
        if now >= progress_at {
            let position = self.cursor.position().min(head.position());
            return Look::Tell(Batch { changes: Vec::new(), index: Index::new(head.epoch(), position) });
        }
        let arrives = core.oracle.after(self.cursor.position()).next().map(|revision| revision.at + lag);
        let next = [arrives, core.oracle.next_expiry()].into_iter().flatten().min();
        Look::Wait(next.map_or(progress_at, |next| next.min(progress_at)))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.core().open -= 1;
    }
}
