//! Orphans that this program has adopted: found in `/proc`, ended, reaped.

use std::collections::HashSet;
use std::time::Duration;
use std::{fs, io};

use rustix::process::{self, Pid};
use tokio::time::{Instant, sleep_until};

use crate::table::State;
use crate::{Processes, Signal};

/// A process whose parent was not our child becomes ours without a sign, so the search is repeated this often.
const TICK: Duration = Duration::from_millis(50);
/// How long to wait for killed processes: a process that hangs in the kernel cannot be killed.
const AFTER_KILL: Duration = Duration::from_secs(1);

/// A child of this program as `/proc` shows it. `born` tells it from a later process with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Child {
    pid: Pid,
    parent: Option<Pid>,
    group: Option<Pid>,
    born: u64,
}

/// A longer grace means for ever; adding it up must not overflow.
const LONGEST: Duration = Duration::from_hours(365 * 24);

pub(crate) fn deadline(grace: Duration) -> Instant {
    Instant::now() + grace.min(LONGEST)
}

impl Processes {
    /// End what processes have left behind, the last thing to do before this program ends: every child of this program that
    /// was not started here, which is every orphan that it has adopted. Each gets TERM, and KILL after `grace`; then their
    /// own children, who thereby become orphans, the same. Processes that were started here and still run are not touched,
    /// and neither is what is below them; but one that was killed because its [`run_to_end`](Self::run_to_end) was dropped is
    /// waited for, and what it has left behind is ended too.
    ///
    /// Returns when none is left, at the latest a second after `grace`, with the number of those that even KILL could not
    /// end. Cancelled, it leaves everything as it is at that moment.
    ///
    /// # Errors
    ///
    /// When `/proc` cannot be read, or shows the numbers of another PID namespace.
    pub async fn sweep(&self, grace: Duration) -> io::Result<usize> {
        self.end_strays(None, Some(Signal::TERM), deadline(grace)).await
    }

    /// End what is left of the group of a process that has ended. It has had its signal already.
    pub(crate) async fn end_group(&self, group: Pid, deadline: Instant) {
        match self.end_strays(Some(group), None, deadline).await {
            Ok(0) => {}
            Ok(left) => tracing::warn!(group = group.as_raw_pid(), left, "processes survived KILL"),
            Err(error) => tracing::warn!(group = group.as_raw_pid(), %error, "cannot see what a process left behind"),
        }
    }

    async fn end_strays(&self, group: Option<Pid>, first: Option<Signal>, deadline: Instant) -> io::Result<usize> {
        let mut passes = self.table.passes();
        let mut told = HashSet::new();
        loop {
            passes.mark_unchanged();
            let now = Instant::now();
            let left = {
                // Only the reaper ends the life of a child's number, and it needs this lock: none can change hands here.
                let state = self.table.lock();
                let strays = strays(&state, group)?;
                for stray in &strays {
                    if now >= deadline {
                        tell(stray, Signal::KILL);
                    } else if let Some(signal) = first.filter(|_| told.insert(*stray)) {
                        tell(stray, signal);
                    }
                }
                // What a killed command started becomes an orphan only when the command has ended.
                strays.len() + if group.is_none() { state.abandoned() } else { 0 }
            };
            if left == 0 || now >= deadline + AFTER_KILL {
                return Ok(left);
            }
            let next = now + TICK;
            let next = if now < deadline { next.min(deadline) } else { next };
            tokio::select! {
                _ = passes.changed() => {}
                () = sleep_until(next) => {}
            }
        }
    }
}

/// Strays of one group or of all. A group whose number belongs to a newer process of ours has none: the old one is gone.
fn strays(state: &State, group: Option<Pid>) -> io::Result<Vec<Child>> {
    if group.is_some_and(|group| state.owns(group)) {
        return Ok(Vec::new());
    }
    let mut children = children()?;
    children.retain(|child| !state.owns(child.pid) && (group.is_none() || child.group == group));
    Ok(children)
}

fn tell(stray: &Child, signal: Signal) {
    tracing::debug!(pid = stray.pid.as_raw_pid(), "{signal} to an orphan");
    if let Err(error) = process::kill_process(stray.pid, signal.raw()) {
        tracing::debug!(pid = stray.pid.as_raw_pid(), %error, "cannot signal an orphan");
    }
}

fn children() -> io::Result<Vec<Child>> {
    let this = process::getpid();
    // A container can see the /proc of its host; those numbers mean other processes.
    if fs::read_link("/proc/self")?.as_os_str() != this.as_raw_pid().to_string().as_str() {
        return Err(io::Error::other("/proc shows another PID namespace: mount the one of this container"));
    }
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(number) else { continue };
        // A process may end between the listing and the reading.
        let Ok(stat) = fs::read(format!("/proc/{}/stat", pid.as_raw_pid())) else { continue };
        children.extend(parse(pid, &stat).filter(|child| child.parent == Some(this)));
    }
    Ok(children)
}

/// The group of this program; `None` if it is one from outside of this PID namespace, which rustix's `getpgrp` cannot say.
pub(crate) fn own_group() -> Option<Pid> {
    parse(process::getpid(), &fs::read("/proc/self/stat").ok()?)?.group
}

/// `pid (name) state parent group …`, with the time of birth as the 22nd field. The name is the process's own choice: it may
/// hold parentheses, blanks, line feeds and bytes that are no text.
fn parse(pid: Pid, stat: &[u8]) -> Option<Child> {
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = str::from_utf8(stat.get(name_end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace().skip(1);
    let parent = number(fields.next()?);
    let group = number(fields.next()?);
    let born = fields.nth(16)?.parse().ok()?;
    Some(Child { pid, parent, group, born })
}

fn number(text: &str) -> Option<Pid> {
    text.parse().ok().filter(|&number: &i32| number > 0).and_then(Pid::from_raw)
}

#[cfg(feature = "fuzzing")]
pub mod fuzzing;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_cannot_forge_its_parent() {
        let pid = number("7").unwrap();
        let stat = b"7 (x) S 1 1\n\xff () S 42 43 44 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 9 9\n";
        let child = parse(pid, stat).unwrap();
        assert_eq!((child.parent, child.group, child.born), (number("42"), number("43"), 987_654));
        assert_eq!(parse(pid, b"7 (x) S 42 43"), None);
        assert_eq!(parse(pid, b""), None);
    }

    #[test]
    fn only_positive_numbers_are_processes() {
        assert_eq!(number("0"), None);
        assert_eq!(number("-1"), None);
        assert_eq!(number("self"), None);
        assert_eq!(number("12").map(Pid::as_raw_pid), Some(12));
    }

    #[test]
    fn the_real_stat_of_this_process_is_understood() {
        let this = process::getpid();
        let child = parse(this, &fs::read("/proc/self/stat").unwrap()).unwrap();
        assert_eq!(child.parent, process::getppid());
        assert!(child.born > 0);
    }
}
