//! What the log says of one file: a line for each transition, and not many of them however often the members change.

use crate::file::Report;
use crate::seldom::Seldom;
use crate::status::{FileStatus, Written};

/// Says what is new, and remembers what was said.
#[derive(Debug, Default)]
pub(crate) struct Log {
    writes: Seldom,
    written: Option<Written>,
    guards: Seldom,
    said: Guards,
    now: Guards,
}

/// What keeps members out of the file, or the file as it is.
#[derive(Clone, Debug, Default)]
struct Guards {
    held: Option<String>,
    skipped: usize,
    /// Who was left out, for example, and why.
    first: Option<String>,
}

impl Log {
    /// For a file of which this was said already.
    pub(crate) fn new(status: &FileStatus) -> Self {
        let said = Guards { held: status.held.clone(), skipped: status.skipped, first: None };
        Self { now: said.clone(), said, ..Self::default() }
    }

    /// An attempt succeeded.
    pub(crate) fn take(&mut self, status: &FileStatus, report: &Report) {
        if report.written.is_some() {
            self.written = report.written;
            let times = self.writes.happened();
            self.say_written(status, times);
        } else if status.error.is_some() {
            tracing::info!(file = %status.dest.display(), "the file needs no change any more");
        }
        let skipped = &report.skipped;
        self.now = Guards { held: report.held.clone(), skipped: skipped.count, first: skipped.first.clone() };
        if (&report.held, skipped.count) != (&status.held, status.skipped) {
            let times = self.guards.happened();
            self.say_guards(status, times);
        }
    }

    /// Returns when something is still to be said. Cancel safe.
    pub(crate) async fn wait(&self) {
        tokio::select! {
            () = self.writes.wait() => {}
            () = self.guards.wait() => {}
        }
    }

    /// Says what is due.
    pub(crate) fn catch_up(&mut self, status: &FileStatus) {
        let times = self.writes.due();
        self.say_written(status, times);
        let times = self.guards.due();
        self.say_guards(status, times);
    }

    /// So many times, of which the last one is shown.
    fn say_written(&self, status: &FileStatus, times: Option<u64>) {
        if let (Some(times), Some(written)) = (times, self.written) {
            let times = Some(times).filter(|times| *times > 1);
            let file = status.dest.display();
            tracing::info!(%file, bytes = written.bytes, atomic = written.atomic, times, "written");
        }
    }

    fn say_guards(&mut self, status: &FileStatus, times: Option<u64>) {
        if times.is_none() {
            return;
        }
        let (said, file) = (std::mem::replace(&mut self.said, self.now.clone()), status.dest.display());
        match &self.now.held {
            held if *held == said.held => {}
            Some(held) => tracing::warn!(%file, "{held}"),
            None => tracing::info!(%file, "nothing is held back any more"),
        }
        if let Some(first) = self.now.first.as_ref().filter(|_| self.now.skipped != said.skipped) {
            tracing::warn!(%file, skipped = self.now.skipped, "members were left out: {first}");
        }
    }
}
