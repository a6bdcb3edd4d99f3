//! The files and notifications of the configuration in force.

use std::sync::Arc;
use std::time::Duration;

use registry_handlers::{Handlers, Memberships, Pipeline};
use tokio::sync::Mutex;
use tokio::time::timeout;

/// How long a file that is being written may delay the end of the program: a disk may hang.
const STOP_LIMIT: Duration = Duration::from_millis(500);

/// What writes and notifies now. A clone is a handle to the same, so that one configuration can give way to the next in a task
/// of its own: the former one must have stopped before, and that waits for the disk.
#[derive(Clone, Debug)]
pub(crate) struct Writing(Arc<Mutex<Option<Pipeline>>>);

impl Writing {
    pub(crate) fn start(handlers: Handlers, memberships: &Memberships) -> Self {
        Self(Arc::new(Mutex::new(Some(handlers.start(memberships)))))
    }

    /// Stops the former ones, then starts these. Cancelled before it has, nothing is written any more.
    pub(super) async fn replace(&self, handlers: Handlers, memberships: &Memberships) {
        let mut running = self.0.lock().await;
        if let Some(former) = running.take() {
            former.stop().await;
        }
        *running = Some(handlers.start(memberships));
    }

    /// Stops, and does not wait for long: the program is about to end.
    pub(crate) async fn stop(&self) {
        let stop = async {
            if let Some(running) = self.0.lock().await.take() {
                running.stop().await;
            }
        };
        if timeout(STOP_LIMIT, stop).await.is_err() {
            tracing::warn!("a file is still being written: the disk does not answer, and is not waited for");
        }
    }
}
