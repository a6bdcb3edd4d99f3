//! Ending processes together with what they started.

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::{LONG, NAPS, eventually, group, numbers, processes, shell, stat};
use processes::{Output, Running, Signal, Status};
use tokio::time::timeout;

const KIB: Output = Output::Capture { limit: 1024 };

/// Start a script, and go on when it has made the file `$READY`.
async fn started(script: &str) -> (Running, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let ready = directory.path().join("ready");
    let command = shell(script).env("READY", &ready).directory(directory.path());
    let running = processes().spawn(command).unwrap();
    eventually("the script is ready", || ready.exists()).await;
    (running, directory)
}

#[tokio::test]
async fn a_hanging_command_is_killed_with_its_grandchildren() {
    let script = "trap '' TERM; sleep 300 & echo $$ $!; sh -c 'sleep 300 & echo $$ $!; sleep 300; :'; sleep 300";
    let command = shell(script).stdout(KIB);
    let outcome = timeout(LONG, processes().run_to_end(command, Duration::from_secs(1))).await.unwrap().unwrap();
    assert!(outcome.timed_out);
    assert_eq!(outcome.status, Status::Signaled(9));
    let pids = numbers(&outcome.stdout.text());
    assert_eq!(pids.len(), 4, "{pids:?}");
    eventually("none of them is left", || pids.iter().all(|&pid| stat(pid).is_none())).await;
    eventually("nothing of the group is left", || group(pids[0]).is_empty()).await;
}

#[tokio::test]
async fn a_command_may_still_end_well_when_it_is_told_to() {
    let command = shell(&format!("trap 'echo bye; exit 0' TERM; {NAPS}")).stdout(KIB);
    let outcome = processes().run_to_end(command, Duration::from_secs(1)).await.unwrap();
    assert!(outcome.timed_out && !outcome.success());
    assert_eq!((outcome.status, &*outcome.stdout.text()), (Status::Exited(0), "bye\n"));
}

#[tokio::test]
async fn a_command_that_nobody_waits_for_any_more_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pids");
    let processes = processes();
    let command = shell("trap '' TERM; sleep 300 & echo $$ $! > pids.new; mv pids.new pids; sleep 300")
        .directory(directory.path());
    tokio::select! {
        outcome = processes.run_to_end(command, LONG) => panic!("it ended: {outcome:?}"),
        () = eventually("it runs", || file.exists()) => {}
    }
    let pids = numbers(&fs::read_to_string(file).unwrap());
    eventually("both are gone", || pids.iter().all(|&pid| stat(pid).is_none())).await;
}

#[tokio::test]
async fn stop_is_quick_with_a_process_that_obeys() {
    let (running, _directory) = started(&format!("trap 'exit 9' TERM; : > $READY; {NAPS}")).await;
    let status = timeout(LONG, running.stop(Signal::TERM, LONG * 5)).await.expect("it does not use up its grace");
    assert_eq!(status, Status::Exited(9));
    assert_eq!(running.stop(Signal::TERM, LONG * 5).await, Status::Exited(9));
}

#[tokio::test]
async fn stop_kills_the_whole_group_of_a_process_that_does_not_obey() {
    let (running, _directory) = started("trap '' TERM; sleep 300 & : > $READY; sleep 300").await;
    let (start, grace) = (Instant::now(), Duration::from_millis(400));
    assert_eq!(running.stop(Signal::TERM, grace).await, Status::Signaled(9));
    assert!(start.elapsed() >= grace);
    assert_eq!(group(running.pid()), []);
}

#[tokio::test]
async fn stop_leaves_the_rest_of_the_grace_to_what_a_quick_parent_leaves_behind() {
    let worker = format!("(trap 'sleep 0.3; echo finished > done; exit 0' TERM; : > $READY; {NAPS})");
    let (running, directory) = started(&format!("{worker} & wait")).await;
    assert_eq!(timeout(LONG, running.stop(Signal::TERM, LONG * 5)).await.unwrap(), Status::Signaled(15));
    assert_eq!(fs::read_to_string(directory.path().join("done")).unwrap(), "finished\n");
    assert_eq!(group(running.pid()), []);
}

#[tokio::test]
async fn stop_kills_what_a_quick_parent_leaves_behind_when_the_grace_is_over() {
    let (running, _directory) = started("(trap '' TERM; : > $READY; sleep 300) & wait").await;
    let (start, grace) = (Instant::now(), Duration::from_millis(400));
    assert_eq!(running.stop(Signal::TERM, grace).await, Status::Signaled(15));
    assert!(start.elapsed() >= grace);
    assert_eq!(group(running.pid()), []);
}

#[tokio::test]
async fn what_a_process_leaves_behind_goes_on_until_it_is_stopped() {
    let (running, _directory) = started("sleep 300 & : > $READY; exit 0").await;
    assert_eq!(running.wait().await, Status::Exited(0));
    assert_eq!(group(running.pid()).len(), 1);
    running.stop(Signal::TERM, Duration::ZERO).await;
    assert_eq!(group(running.pid()), []);
}

#[tokio::test]
async fn an_endless_grace_does_not_overflow() {
    let (running, _directory) = started(": > $READY; sleep 300").await;
    assert_eq!(running.stop(Signal::KILL, Duration::MAX).await, Status::Signaled(9));
    assert!(processes().run_to_end(shell("exit 0"), Duration::MAX).await.unwrap().success());
}
