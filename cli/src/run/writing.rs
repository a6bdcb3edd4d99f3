//! The files and notifications of the configuration in force.

use std::sync::Arc;
use std::time::Duration;

use registry_handlers::{Handlers, Memberships, Pipeline};
use tokio::sync::Mutex;
use tokio::time::timeout;

/// How long a file that is being written may delay the end of the program: a disk may hang.
const STOP_LIMIT: Duration = Duration::from_millis(500);

/// What writes and notifies now. A clone is a handle to the same, so that it can be ended in a task: that waits for the disk.
#[derive(Clone, Debug)]
pub(crate) struct Writing(Arc<Mutex<Option<Pipeline>>>);

impl Writing {
    pub(crate) fn start(handlers: Handlers, memberships: &Memberships) -> Self {
        Self(Arc::new(Mutex::new(Some(handlers.start(memberships)))))
    }

    /// Ends them, so that those of another configuration can begin. A disk that hangs delays it. Cancelled, nothing is
    /// written any more.
    pub(super) async fn end(&self) {
        let mut running = self.0.lock().await;
        if let Some(running) = running.take() {
            running.stop().await;
        }
    }

    /// As [`end`](Self::end), and does not wait for long: the program is about to end.
    pub(crate) async fn stop(&self) {
        if timeout(STOP_LIMIT, self.end()).await.is_err() {
            tracing::warn!("a file is still being written: the disk does not answer, and is not waited for");
        }
    }
}
