//! A process that was started here.

use std::time::Duration;
use std::{fmt, io};

use rustix::process::Pid;
use tokio::time::timeout_at;

use crate::pipes::{Captured, Collected};
use crate::table::{Ended, Target};
use crate::{Processes, Signal, Status, strays};

/// A process that was started here, running or ended. A clone is a handle to the same process; dropping all of them leaves
/// the process alone.
#[derive(Clone)]
pub struct Running {
    pub(crate) processes: Processes,
    pub(crate) pid: Pid,
    ended: Ended,
    stdout: Collected,
    stderr: Collected,
}

impl Running {
    pub(crate) fn new(processes: Processes, pid: Pid, ended: Ended, stdout: Collected, stderr: Collected) -> Self {
        Self { processes, pid, ended, stdout, stderr }
    }

    /// Its number, which is also the number of its group. Another process may have it once this one has ended.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_pid().unsigned_abs()
    }

    /// How it ended; `None` while it runs.
    pub fn status(&self) -> Option<Status> {
        *self.ended.borrow()
    }

    /// Wait for its end. Can be called often and by many, before and after; cancel safe.
    pub async fn wait(&self) -> Status {
        let mut ended = self.ended.clone();
        let status = ended.wait_for(Option::is_some).await.ok().and_then(|status| *status);
        match status {
            Some(status) => status,
            // Impossible by construction: the table drops an entry only after having told its end.
            None => std::future::pending().await,
        }
    }

    /// Wait for its end, and give what it wrote to stdout and stderr, as far as that was to be captured. What a grandchild
    /// writes after the end of the process itself is not waited for. Can be called often; cancel safe.
    pub async fn captured(&self) -> (Captured, Captured) {
        self.wait().await;
        (collected(&self.stdout).await, collected(&self.stderr).await)
    }

    /// Send a signal to the process alone.
    ///
    /// # Errors
    ///
    /// `NotFound` when it has ended; `PermissionDenied` when it runs as another user.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        self.processes.table.signal(self.pid, &self.ended, Target::Process, signal)
    }

    /// Send a signal to the process and all others in its group.
    ///
    /// # Errors
    ///
    /// `NotFound` when the process itself has ended, for then the number of the group may be somebody else's;
    /// `PermissionDenied` when all of the group run as another user.
    pub fn signal_group(&self, signal: Signal) -> io::Result<()> {
        self.processes.table.signal(self.pid, &self.ended, Target::Group, signal)
    }

    /// End it: `signal` to the group, up to `grace` for the process and then for what it left behind in its group to end,
    /// KILL for whatever has not. At once if it has ended and left nothing behind.
    ///
    /// What left the group (`setsid`) is for [`Processes::sweep`]. Cancelled, it leaves everything as it is at that moment,
    /// and can be called again. It returns later than `grace` only while the kernel does not let go of a killed process.
    pub async fn stop(&self, signal: Signal, grace: Duration) -> Status {
        let deadline = strays::deadline(grace);
        self.tell_group(signal);
        let status = if let Ok(status) = timeout_at(deadline, self.wait()).await {
            status
        } else {
            // First of all: who has lost a lock must not work on.
            self.tell_group(Signal::KILL);
            tracing::warn!(pid = self.pid(), ?grace, "did not end in time after {signal}: its group was killed");
            self.wait().await
        };
        self.processes.end_group(self.pid, deadline).await;
        status
    }

    /// Kill it without waiting for its end, which [`Processes::sweep`] does.
    pub(crate) fn abandon(&self) {
        self.tell_group(Signal::KILL);
        self.processes.table.abandon(self.pid, &self.ended);
    }

    pub(crate) fn tell_group(&self, signal: Signal) {
        match self.signal_group(signal) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(pid = self.pid(), %error, "cannot send {signal}");
            }
            _ => {}
        }
    }
}

/// Nothing where nothing is captured: the sender is gone then.
async fn collected(result: &Collected) -> Captured {
    let mut result = result.clone();
    result.wait_for(Option::is_some).await.ok().and_then(|captured| captured.clone()).unwrap_or_default()
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("pid", &self.pid()).field("status", &self.status()).finish_non_exhaustive()
    }
}
