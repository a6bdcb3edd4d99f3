//! Running a command to its end.

use std::time::Duration;

use tokio::time::timeout;

use crate::table::Leftovers;
use crate::{Captured, Command, Processes, Running, Signal, SpawnError, Status};

/// How long a command that took too long has between TERM and KILL.
const GRACE: Duration = Duration::from_secs(1);

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// Whether it was ended because it took too long. It may have succeeded all the same, just as it was told.
    pub timed_out: bool,
    /// What it wrote to stdout, if that was captured.
    pub stdout: Captured,
    /// What it wrote to stderr, if that was captured.
    pub stderr: Captured,
}

impl Outcome {
    /// Whether it ended in time, by itself and with code 0.
    pub fn success(&self) -> bool {
        !self.timed_out && self.status.success()
    }
}

impl Processes {
    /// Run a command that is expected to end soon: a check, a notification.
    ///
    /// After `limit` its group gets TERM, and KILL a second later. Whenever the process itself ends, whatever is left of
    /// its group is killed, so a command that leaves something in the background neither delays this nor leaves it there;
    /// what left the group (`setsid`) goes on as an orphan. If this future is dropped, the group is killed at once.
    ///
    /// # Errors
    ///
    /// Those of [`spawn`](Self::spawn). A command that fails or takes too long is an [`Outcome`].
    pub async fn run_to_end(&self, command: Command, limit: Duration) -> Result<Outcome, SpawnError> {
        let command = KilledWhenDropped(self.spawn_with(command, Leftovers::Kill)?);
        let running = &command.0;
        let timed_out = timeout(limit, running.wait()).await.is_err();
        if timed_out {
            running.tell_group(Signal::TERM);
            if timeout(GRACE, running.wait()).await.is_err() {
                running.tell_group(Signal::KILL);
            }
        }
        let (stdout, stderr) = running.captured().await;
        Ok(Outcome { status: running.wait().await, timed_out, stdout, stderr })
    }
}

/// A caller that stops caring (a newer notification, the end of the program) must not leave the command behind.
struct KilledWhenDropped(Running);

impl Drop for KilledWhenDropped {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
