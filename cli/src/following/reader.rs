//! The task that reads one cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use registry::Subscription;
use registry_handlers::Memberships;
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};

use super::memory::Note;
use super::view::{View, say};
use crate::configuration::WatchSpec;

/// Reads one cluster until it is ended or dropped.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) watch: WatchSpec,
    is_certain: Arc<AtomicBool>,
    stop: oneshot::Sender<()>,
    task: AbortHandle,
}

impl Reader {
    pub(super) fn start(
        tasks: &mut JoinSet<()>,
        watch: WatchSpec,
        events: Subscription,
        memberships: Memberships,
        note: Note,
    ) -> Self {
        let (stop, stopped) = oneshot::channel();
        let is_certain = Arc::new(AtomicBool::new(events.suppressed().borrow().is_none()));
        let certain = Arc::clone(&is_certain);
        let spec = watch.clone();
        let task = tasks.spawn(async move {
            tokio::pin!(stopped);
            read(&spec, events, &memberships, &certain, note, stopped).await;
        });
        Self { watch, is_certain, stop, task }
    }

    /// True while what it knows is what the registry has.
    pub(super) fn is_certain(&self) -> bool {
        self.is_certain.load(Ordering::Relaxed)
    }

    /// The task notes who is a member, and ends.
    pub(super) fn end(self) {
        // One that has ended already needs no word.
        let _ = self.stop.send(());
    }

    /// The task takes no change in any more: its cluster's name may mean another one now.
    pub(super) fn abort(self) {
        self.task.abort();
    }
}

async fn read(
    watch: &WatchSpec,
    mut events: Subscription,
    memberships: &Memberships,
    certain: &AtomicBool,
    mut note: Note,
    mut stopped: impl Future + Unpin,
) {
    let mut view = View::default();
    let suppressed = events.suppressed();
    let mut ended = false;
    loop {
        let stops = tokio::select! {
            _ = &mut stopped => true,
            () = note.due() => false,
            event = events.next(), if !ended => {
                match event {
                    Some(Ok(event)) => {
                        say(watch, &event, &mut view);
                        memberships.apply(&watch.name, &event);
                        note.changed();
                    }
                    Some(Err(error)) => tracing::error!("{}: {error}; its files stay as they are", watch.dir),
                    None => ended = true,
                }
                let is_fresh = memberships.get(&watch.name).is_some_and(|members| members.fresh);
                certain.store(is_fresh && !ended && suppressed.borrow().is_none(), Ordering::Relaxed);
                continue;
            }
        };
        if let Some(members) = memberships.get(&watch.name) {
            note.write(members, certain.load(Ordering::Relaxed)).await;
        }
        if stops {
            return;
        }
    }
}
