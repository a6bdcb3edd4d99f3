//! The processes that were started and have not been reaped.

use std::collections::HashMap;
use std::io;
use std::process::Command as Prepared;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::process::{self, Pid, WaitId, WaitIdOptions, WaitOptions};
use tokio::sync::watch;

use crate::{Signal, Status};

/// What is known of a process: `None` while it runs.
pub(crate) type Ended = watch::Receiver<Option<Status>>;

/// What becomes of the rest of a process's group when the process itself ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leftovers {
    /// They go on, as orphans that this program adopts.
    Keep,
    /// They are killed.
    Kill,
}

/// Whom a signal is for.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    Process,
    Group,
}

/// All that run. One lock is held while a process is started and entered, while one is reaped, and while one is
/// signalled. So a process that ends at once is found here, and a number that is in here belongs to nobody else.
pub(crate) struct Table {
    state: Mutex<State>,
    passes: watch::Sender<u64>,
}

#[derive(Default)]
pub(crate) struct State {
    own: HashMap<Pid, Entry>,
    adopted: u64,
}

struct Entry {
    ended: watch::Sender<Option<Status>>,
    leftovers: Leftovers,
    /// It was killed because nobody waits for it any more.
    abandoned: bool,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), passes: watch::Sender::new(0) }
    }

    /// No invariant spans two entries, so a panic of another holder leaves nothing half done.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes after every pass of the reaper.
    pub(crate) fn passes(&self) -> watch::Receiver<u64> {
        self.passes.subscribe()
    }

    pub(crate) fn adopted(&self) -> u64 {
        self.lock().adopted
    }

    /// Start and enter. The lock also keeps the reaper away from the child that the standard library itself waits for
    /// when the program could not be executed.
    pub(crate) fn start(&self, mut prepared: Prepared, leftovers: Leftovers) -> io::Result<(Pid, Ended)> {
        let (ended, watcher) = watch::channel(None);
        let mut state = self.lock();
        let pid = Pid::from_child(&prepared.spawn()?);
        state.own.insert(pid, Entry { ended, leftovers, abandoned: false });
        Ok((pid, watcher))
    }

    /// Signal a process that was started here.
    ///
    /// # Errors
    ///
    /// `NotFound` when it has ended; whatever the system says otherwise.
    pub(crate) fn signal(&self, pid: Pid, ended: &Ended, target: Target, signal: Signal) -> io::Result<()> {
        let _state = self.lock();
        if ended.borrow().is_some() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("process {pid} has ended", pid = pid.as_raw_pid()),
            ));
        }
        let sent = match target {
            Target::Process => process::kill_process(pid, signal.raw()),
            // A process may leave the group that it was started in; then its own number still reaches it.
            Target::Group => match process::kill_process_group(pid, signal.raw()) {
                Err(Errno::SRCH) => process::kill_process(pid, signal.raw()),
                sent => sent,
            },
        };
        Ok(sent?)
    }

    /// It was killed, and its owner does not wait for its end. Until then what it started is not an orphan yet.
    pub(crate) fn abandon(&self, pid: Pid, ended: &Ended) {
        let mut state = self.lock();
        if ended.borrow().is_none()
            && let Some(entry) = state.own.get_mut(&pid)
        {
            entry.abandoned = true;
        }
    }

    /// Reap all that have ended, and tell their owners.
    pub(crate) fn reap(&self) {
        self.lock().reap();
        self.passes.send_modify(|passes| *passes = passes.wrapping_add(1));
    }
}

impl State {
    /// Whether the process was started here and has not been reaped.
    pub(crate) fn owns(&self, pid: Pid) -> bool {
        self.own.contains_key(&pid)
    }

    /// How many were killed and have not been reaped, that nobody waits for.
    pub(crate) fn abandoned(&self) -> usize {
        self.own.values().filter(|entry| entry.abandoned).count()
    }

    fn reap(&mut self) {
        // Before they are reaped, because only until then the group's number, which is the process's, is surely theirs.
        for (&pid, entry) in &mut self.own {
            if entry.leftovers == Leftovers::Kill && has_ended(pid) {
                entry.kill_leftovers(pid);
            }
        }
        loop {
            match process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    if let Some(status) = Status::from_wait(status) {
                        self.dispatch(pid, status);
                    }
                }
                Ok(None) | Err(Errno::CHILD) => return,
                Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "cannot wait for processes");
                    return;
                }
            }
        }
    }

    fn dispatch(&mut self, pid: Pid, status: Status) {
        if let Some(mut entry) = self.own.remove(&pid) {
            // One that ended after the look above. Numbers are handed out in a circle: this one cannot have come round
            // again in the moment since.
            if entry.leftovers == Leftovers::Kill {
                entry.kill_leftovers(pid);
            }
            entry.ended.send_replace(Some(status));
        } else {
            self.adopted += 1;
            tracing::trace!(pid = pid.as_raw_pid(), %status, "reaped an orphan");
        }
    }
}

impl Entry {
    fn kill_leftovers(&mut self, group: Pid) {
        self.leftovers = Leftovers::Keep;
        match process::kill_process_group(group, Signal::KILL.raw()) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => {
                tracing::warn!(group = group.as_raw_pid(), %error, "cannot kill what a process left behind");
            }
        }
    }
}

/// Whether it has ended, without reaping it.
fn has_ended(pid: Pid) -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(process::waitid(WaitId::Pid(pid), look), Ok(Some(_)))
}
