//! What an earlier run of this program knew, and what the next one will know.

use std::path::PathBuf;
use std::time::Duration;

use registry_handlers::{Known, Membership, Remembered, digest};
use tokio::time::{Instant, sleep_until};

use crate::aside::aside;
use crate::configuration::WatchSpec;
use crate::runtime;

/// Who was a member longer ago than this is not expected to come back.
const OLD: Duration = Duration::from_mins(15);
/// How soon after a change it is noted: one note for many changes.
const SOON: Duration = Duration::from_secs(10);
/// How often it is noted that nothing has changed.
const EVERY: Duration = Duration::from_mins(1);

/// Where the notes are, if there is a place for them.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    directory: Option<PathBuf>,
    /// Tells this registry from others. A URL may hold a password, so it is no text that anybody could read.
    store: u64,
}

impl Memory {
    /// For this registry.
    pub(crate) fn of(url: &str) -> Self {
        Self { directory: runtime::directory(), store: digest(url.as_bytes()) }
    }

    /// Remembers nothing, for who only looks.
    pub(crate) fn none() -> Self {
        Self { directory: None, store: 0 }
    }

    fn remembered(&self, watch: &WatchSpec) -> Option<Remembered> {
        let what = format!("{:016x} {}", self.store, watch.dir);
        Some(Remembered::new(self.directory.clone()?, what))
    }

    /// Who was a member in an earlier run, not long ago.
    pub(super) async fn load(&self, watch: &WatchSpec) -> Option<Known> {
        let remembered = self.remembered(watch)?;
        let known = aside(move || remembered.load()).await.ok()??;
        (known.age < OLD).then_some(known)
    }

    pub(super) fn note(&self, watch: &WatchSpec) -> Note {
        let due = Instant::now() + SOON;
        Note { remembered: self.remembered(watch), due, is_changed: true, was_certain: false }
    }
}

/// The note about one cluster.
#[derive(Debug)]
pub(super) struct Note {
    remembered: Option<Remembered>,
    due: Instant,
    is_changed: bool,
    was_certain: bool,
}

impl Note {
    /// The members, or how certain they are, may have changed.
    pub(super) fn changed(&mut self) {
        if !self.is_changed {
            self.is_changed = true;
            self.due = self.due.min(Instant::now() + SOON);
        }
    }

    /// Returns when it is time to [write](Self::write). Cancel safe.
    pub(super) async fn due(&self) {
        match self.remembered {
            Some(_) => sleep_until(self.due).await,
            None => std::future::pending().await,
        }
    }

    /// Notes the members. While the registry cannot be reached the last note stands, and grows older.
    pub(super) async fn write(&mut self, members: Membership, is_certain: bool) {
        let now = Instant::now();
        let Some(remembered) = self.remembered.clone() else { return };
        if !members.fresh {
            self.due = now + SOON;
            return;
        }
        let is_news = std::mem::replace(&mut self.is_changed, false) || self.was_certain != is_certain;
        self.was_certain = is_certain;
        let written = aside(move || if is_news { remembered.save(&members, is_certain) } else { remembered.touch() });
        self.due = now + EVERY;
        if let Ok(Err(error)) = written.await {
            // A read-only container: the next run knows less.
            tracing::debug!(%error, "cannot note who is a member");
            self.remembered = None;
        }
    }
}
