//! What runs.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::file::Closer;
use crate::membership::{Clusters, Seen};
use crate::pending::Pending;
use crate::status::{FileStatus, NotifyStatus, Status};

/// The running files and notifications. Dropped, it ends as [`stop`](Self::stop) says, without waiting.
pub struct Pipeline {
    tasks: JoinSet<()>,
    files: Vec<Followed>,
    notifiers: Vec<watch::Receiver<NotifyStatus>>,
    pending: Pending,
    clusters: watch::Receiver<Clusters>,
}

/// A file that is followed.
pub(crate) struct Followed {
    pub(crate) status: watch::Receiver<FileStatus>,
    pub(crate) watch: Vec<Arc<str>>,
    pub(crate) closer: Closer,
}

impl Pipeline {
    pub(crate) fn new(pending: Pending, clusters: watch::Receiver<Clusters>) -> Self {
        Self { tasks: JoinSet::new(), files: Vec::new(), notifiers: Vec::new(), pending, clusters }
    }

    pub(crate) fn add_file(&mut self, file: Followed, task: impl Future<Output = ()> + Send + 'static) {
        self.files.push(file);
        self.tasks.spawn(task);
    }

    pub(crate) fn add_notifier(
        &mut self,
        status: watch::Receiver<NotifyStatus>,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.notifiers.push(status);
        self.tasks.spawn(task);
    }

    /// How everything stands now. A change that was reported before this call and not taken up yet is seen as busy.
    pub fn status(&self) -> Status {
        let clusters = self.clusters.borrow();
        let file = |file: &Followed| {
            let mut status = file.status.borrow().clone();
            status.busy |= Seen::of(&clusters, &file.watch) != status.seen;
            status
        };
        let notify = |status: &watch::Receiver<NotifyStatus>| {
            let status = status.borrow().clone();
            NotifyStatus { pending: self.pending.waiting(&status.name), ..status }
        };
        // The files first: one that is not busy has marked what there is to tell.
        let files = self.files.iter().map(file).collect();
        Status { files, notifications: self.notifiers.iter().map(notify).collect() }
    }

    /// Ends every task. A command that runs is killed with its group; what was not told stays pending. Once this returns,
    /// nothing is written any more, so that another configuration can be started. A disk that hangs delays it.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
        for file in self.files.drain(..) {
            file.closer.close().await;
        }
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline").field("status", &self.status()).finish_non_exhaustive()
    }
}
