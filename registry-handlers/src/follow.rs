//! The task of one file: collects changes, and keeps trying until the file shows them.

use std::time::Duration;

use processes::Processes;
use registry_core::Backoff;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::error::{Error, Result};
use crate::file::{ManagedFile, Report};
use crate::log::Log;
use crate::membership::{Clusters, Seen};
use crate::status::FileStatus;

const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// What to do next.
enum Next {
    /// Wait for a change.
    Rest,
    /// A change came, or it is time to try again.
    Work,
    /// Nobody can report a change any more, and nothing is left to do.
    Over,
}

/// Follows until the reporting side is gone. The first change is taken up at once; what comes within the window after it
/// is taken up together at the window's end. It is always the newest state that is taken up, so the last change is
/// never lost, however fast they come.
pub(crate) async fn follow(
    mut file: ManagedFile,
    mut clusters: watch::Receiver<Clusters>,
    status: watch::Sender<FileStatus>,
    processes: Processes,
) {
    let notify = file.notify().to_owned();
    let mut seen = None;
    let mut earliest = Instant::now();
    let mut retry_at = None;
    let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX);
    let mut log = Log::new(&status.borrow());
    let mut next = Next::Work;
    loop {
        next = match next {
            Next::Over => return,
            Next::Rest => tokio::select! {
                next = rest(&mut clusters, retry_at) => next,
                () = log.wait() => {
                    log.catch_up(&status.borrow());
                    Next::Rest
                }
            },
            Next::Work => {
                let now = Seen::of(&clusters.borrow_and_update(), &file.watch);
                let due = retry_at.is_some_and(|at| at <= Instant::now());
                if now.is_none() || (now == seen && !due) {
                    Next::Rest
                } else {
                    status.send_if_modified(|status| !std::mem::replace(&mut status.busy, true));
                    // A timer that is over already would still wake the thread that sets it.
                    if Instant::now() < earliest {
                        sleep_until(earliest).await;
                    }
                    earliest = Instant::now() + file.window;
                    let selected = {
                        let clusters = clusters.borrow_and_update();
                        seen = Seen::of(&clusters, &file.watch);
                        file.select(&clusters)
                    };
                    // A cluster that was listed stays, so there is always something to work on.
                    let result = file.update(selected.unwrap_or_default(), &notify, &processes).await;
                    retry_at = match &result {
                        Err(error) if error.is_transient() => Some(Instant::now() + backoff.next_wait()),
                        _ => None,
                    };
                    if result.is_ok() {
                        backoff.reset();
                    }
                    // One that came during the work keeps it busy, so that nobody is told of what is about to change.
                    let busy = Seen::of(&clusters.borrow(), &file.watch) != seen;
                    status.send_modify(|status| {
                        status.seen.clone_from(&seen);
                        tell(status, result, busy, &mut log);
                    });
                    if busy { Next::Work } else { Next::Rest }
                }
            }
        };
    }
}

async fn rest(clusters: &mut watch::Receiver<Clusters>, retry_at: Option<Instant>) -> Next {
    let retry = async {
        match retry_at {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(retry);
    tokio::select! {
        changed = clusters.changed() => match changed {
            Err(_) if retry_at.is_none() => return Next::Over,
            Err(_) => retry.await,
            Ok(()) => {}
        },
        () = &mut retry => {}
    }
    Next::Work
}

/// What the attempt came to, for those who look from outside and for the log.
pub(crate) fn tell(status: &mut FileStatus, result: Result<Report>, busy: bool, log: &mut Log) {
    status.busy = busy;
    let report = match result {
        Ok(report) => report,
        Err(error) => return fail(status, &error),
    };
    log.take(status, &report);
    if report.written.is_some() {
        status.written = report.written;
        status.writes += 1;
    }
    status.held = report.held;
    status.skipped = report.skipped.count;
    status.current = true;
    status.error = None;
    status.attempts = 0;
}

/// One line for each reason, never for each attempt.
fn fail(status: &mut FileStatus, error: &Error) {
    let text = error.to_string();
    if status.error.as_ref() != Some(&text) {
        tracing::error!("{text}; the old file stays");
    }
    status.error = Some(text);
    status.attempts = status.attempts.saturating_add(1);
}
