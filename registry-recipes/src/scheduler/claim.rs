//! The lock of couchbase-array, so that a scheduler of old and one of ours never both act.

use std::sync::Arc;
use std::time::Duration;

use registry_core::{
    Backoff, Condition, ErrorKind, Index, RegisterOptions, Registration, Registry, RegistryExt, Result,
};
use tokio::time::sleep;

use super::layout::Layout;
use super::options::Options;
use crate::Leadership;

/// The longest wait between two attempts to take the lock.
const RETRY_MAX: Duration = Duration::from_secs(1);

/// Takes the lock for whoever leads, and waits as long as another scheduler has it.
///
/// # Errors
/// Why the leadership was lost meanwhile, or what trying again cannot mend.
pub(super) async fn claim(
    registry: &Arc<dyn Registry>,
    layout: &Layout,
    options: &Options,
    leadership: &Leadership,
    session: &str,
) -> Result<(Registration, Index)> {
    let mut backoff = Backoff::new(Duration::from_millis(100), RETRY_MAX);
    let mut said = false;
    let kept = RegisterOptions::new().ttl(options.leader_ttl).condition(Condition::Absent).single_ownership();
    loop {
        let claimed = tokio::select! {
            biased;
            () = leadership.lost() => return Err(leadership.loss().await),
            claimed = registry.announce(layout.lock.clone(), session.to_owned(), kept) => claimed,
        };
        match claimed {
            Ok(lock) => {
                // An answer that came too late for its own time to live proves nothing.
                if let Some(token) = lock.token() {
                    return Ok((lock, token));
                }
            }
            Err(error) if error.kind() == ErrorKind::Conflict => {
                if !std::mem::replace(&mut said, true) {
                    tracing::info!(key = %layout.lock, "waiting for another scheduler to end");
                }
                sleep(backoff.next_wait()).await;
            }
            Err(error) => return Err(error),
        }
    }
}
