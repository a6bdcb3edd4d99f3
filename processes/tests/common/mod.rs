//! What the tests look at: the table of processes as the kernel shows it.
#![allow(dead_code, reason = "every test binary uses another part")]

use std::fs;
use std::time::{Duration, Instant};

use processes::{Command, Processes};

/// Longer than anything here takes on a busy machine, shorter than the processes that are to be ended.
pub(crate) const LONG: Duration = Duration::from_mins(1);

/// For scripts with a trap: many short naps. A signal that hits a shell's child between fork and exec is lost in the trap
/// that it inherited, and one long sleep would outlive it. Bounded, so that a failed test leaves nothing behind for ever.
pub(crate) const NAPS: &str = "for nap in $(seq 6000); do sleep 0.05; done";

pub(crate) fn processes() -> Processes {
    Processes::start().expect("the reaper starts")
}

pub(crate) fn shell(script: &str) -> Command {
    Command::new("/bin/sh").arg("-c").arg(script)
}

/// State, parent and group of a process; `None` when there is no such number.
pub(crate) fn stat(pid: u32) -> Option<(char, u32, u32)> {
    let stat = String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/stat")).ok()?).into_owned();
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

pub(crate) fn all() -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("/proc is mounted");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// Whatever is left of a group, ended but not reaped included.
pub(crate) fn group(group: u32) -> Vec<u32> {
    all().into_iter().filter(|&pid| stat(pid).is_some_and(|(_, _, of)| of == group)).collect()
}

/// The children of this process, ended but not reaped included.
pub(crate) fn children() -> Vec<u32> {
    let this = std::process::id();
    all().into_iter().filter(|&pid| stat(pid).is_some_and(|(_, parent, _)| parent == this)).collect()
}

pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LONG, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The numbers that a script printed.
pub(crate) fn numbers(text: &str) -> Vec<u32> {
    text.split_whitespace().map(|word| word.parse().expect("a number")).collect()
}
