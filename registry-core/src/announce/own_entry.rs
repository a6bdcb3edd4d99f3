//! What the keeper sees of its own entry, between renewals.

use crate::entry::Change;
use crate::name::Key;
use crate::subscription::{Event, Subscription};

/// The watch of the keeper's own entry, if it has one.
pub(super) struct OwnEntry {
    key: Key,
    watch: Option<Subscription>,
    /// False before the first snapshot, and while the watch is interrupted.
    watched: bool,
    /// True when the watch ended because it was not permitted from the beginning.
    refused: bool,
}

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The entry is gone, or was replaced.
    Gone,
    /// It is watched from now on, or is not watched any more.
    Watched(bool),
}

impl OwnEntry {
    pub(super) fn new(key: Key, watch: Option<Subscription>) -> Self {
        Self { key, watch, watched: false, refused: false }
    }

    /// True while a removal of the entry would be seen at once, and where nobody wants that.
    pub(super) fn is_watched(&self) -> bool {
        self.watched || (self.watch.is_none() && !self.refused)
    }

    /// The registry has answered a renewal.
    pub(super) fn is_reachable(&self) {
        if let Some(watch) = self.watch.as_ref().filter(|_| !self.watched) {
            watch.is_reachable();
        }
    }

    /// True when another watch may be permitted by now.
    pub(super) fn is_refused(&self) -> bool {
        self.refused && self.watch.is_none()
    }

    /// Watches once more, after a refusal.
    pub(super) fn begin_again(&mut self, watch: Option<Subscription>) {
        self.watch = watch;
    }

    /// Returns when something was seen; never without a watch. A permanent error of the watch leaves it to renewals. Cancel safe.
    pub(super) async fn next(&mut self) -> Seen {
        let name = self.key.name();
        loop {
            let Some(watch) = &mut self.watch else { return std::future::pending().await };
            let watched = match watch.next().await {
                Some(Ok(Event::Snapshot { snapshot, .. })) => {
                    let is_there = snapshot.entries.binary_search_by(|entry| entry.name.cmp(&name)).is_ok();
                    let begun = !std::mem::replace(&mut self.watched, true);
                    self.refused = false;
                    match (is_there, begun) {
                        (false, _) => return Seen::Gone,
                        (true, true) => return Seen::Watched(true),
                        (true, false) => continue,
                    }
                }
                Some(Ok(Event::Changes(batch))) => {
                    let is_own = |change: &Change| matches!(change, Change::Remove { name: gone, .. } if *gone == name);
                    if batch.changes.iter().any(is_own) {
                        return Seen::Gone;
                    }
                    continue;
                }
                Some(Ok(Event::Interrupted { .. })) => false,
                Some(Ok(Event::Resumed { .. })) => true,
                Some(Err(error)) => {
                    let key = &self.key;
                    // A refusal is reported once, however often it is tried again.
                    let was_refused = std::mem::replace(&mut self.refused, error.is_refusal());
                    if !(was_refused && self.refused) {
                        tracing::warn!(%key, %error, "cannot watch this instance's entry; a loss is noticed by the next renewal");
                    }
                    continue;
                }
                None => {
                    self.watch = None;
                    continue;
                }
            };
            if std::mem::replace(&mut self.watched, watched) != watched {
                return Seen::Watched(watched);
            }
        }
    }
}
