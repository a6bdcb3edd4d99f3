//! Ending what was left behind. In a binary of its own, for it ends the orphans of every test in the same process.

mod common;

use std::time::{Duration, Instant};

use common::{LONG, NAPS, all, children, processes, shell, stat};
use processes::{Command, Signal, Status};
use tokio::time::timeout;

fn alive(pids: &[u32]) -> usize {
    pids.iter().filter(|&&pid| stat(pid).is_some()).count()
}

/// Start strays of every kind, each in a session of its own, and give their numbers when all are ready for the signal.
async fn strays(scripts: &[&str]) -> (tempfile::TempDir, Vec<u32>) {
    let directory = tempfile::tempdir().unwrap();
    for (number, script) in scripts.iter().enumerate() {
        let command = Command::new("setsid").args(["--fork", "sh", "-c", script]);
        let command = command.env("READY", directory.path().join(number.to_string())).directory(directory.path());
        assert!(processes().spawn(command).unwrap().wait().await.success());
    }
    let ready = || (0..scripts.len()).all(|number| directory.path().join(number.to_string()).exists());
    common::eventually("all are ready", ready).await;
    let below = descendants();
    (directory, below)
}

fn descendants() -> Vec<u32> {
    let mut found = children();
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        found.extend(all().into_iter().filter(|&pid| stat(pid).is_some_and(|(_, of, _)| of == parent)));
        next += 1;
    }
    found
}

#[tokio::test]
async fn sweep_ends_all_strays_and_only_them() {
    let processes = processes();
    assert_eq!(timeout(LONG, processes.sweep(LONG)).await.unwrap().unwrap(), 0, "nothing to do, so at once");

    let polite = &*format!("trap 'echo bye > said; exit 0' TERM; : > $READY; {NAPS}");
    let nested = "sh -c '(trap \"\" TERM; : > $READY; sleep 300) & wait' & wait";
    let (directory, pids) = strays(&[polite, ": > $READY; exec sleep 300", nested]).await;
    assert!(pids.len() >= 5, "{pids:?}");
    let own = processes.spawn(shell("sleep 300 & wait")).unwrap();
    let (start, grace) = (Instant::now(), Duration::from_millis(600));
    assert_eq!(processes.sweep(grace).await.unwrap(), 0);
    assert!(start.elapsed() >= grace, "the one that ignores TERM had its grace");
    assert_eq!(std::fs::read_to_string(directory.path().join("said")).unwrap(), "bye\n");
    assert_eq!(alive(&pids), 0);
    assert_eq!(children(), [own.pid()], "a process of ours goes on");
    assert_eq!(own.stop(Signal::TERM, LONG).await, Status::Signaled(15));
    assert_eq!(children(), []);

    let (_directory, pids) = strays(&[polite, polite, ": > $READY; exec sleep 300"]).await;
    assert_eq!(timeout(LONG, processes.sweep(LONG * 5)).await.expect("not all of the grace").unwrap(), 0);
    assert_eq!(alive(&pids), 0);
    assert_eq!(children(), []);
}
