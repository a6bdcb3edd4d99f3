//! What goes into processes and what comes out of them.

mod common;

use std::time::Duration;

use common::{LONG, eventually, numbers, processes, shell, stat};
use processes::{Captured, Command, Input, Output, Status};
use tokio::time::timeout;

const KIB: Output = Output::Capture { limit: 1024 };

#[tokio::test]
async fn stdout_and_stderr_are_kept_apart_and_cut_at_the_limit() {
    let command = shell("echo out; echo err >&2; exit 4").stdout(Output::Capture { limit: 2 }).stderr(KIB);
    let outcome = processes().run_to_end(command, LONG).await.unwrap();
    assert_eq!(outcome.status, Status::Exited(4));
    assert!(!outcome.success());
    assert_eq!(outcome.stdout, Captured { bytes: b"ou".to_vec(), dropped: 2 });
    assert_eq!(outcome.stderr.text(), "err\n");
}

#[tokio::test]
async fn a_flood_is_cut_and_its_writer_is_not_blocked() {
    // It ends only if all of it is read: far more than a pipe holds.
    let command = shell("yes | head -c 20000000; echo done >&2").stdout(KIB).stderr(KIB);
    let outcome = processes().run_to_end(command, LONG).await.unwrap();
    assert!(outcome.success(), "{outcome:?}");
    assert_eq!(outcome.stdout.bytes, b"y\n".repeat(512));
    assert_eq!(outcome.stdout.dropped, 20_000_000 - 1024);
    assert_eq!(outcome.stderr.text(), "done\n");
}

#[tokio::test]
async fn an_endless_flood_is_ended_at_the_timeout() {
    let command = Command::new("yes").stdout(KIB);
    let outcome = timeout(LONG, processes().run_to_end(command, Duration::from_millis(200))).await.unwrap().unwrap();
    assert!(outcome.timed_out && !outcome.success());
    assert_eq!(outcome.status, Status::Signaled(15));
    assert_eq!(outcome.stdout.bytes.len(), 1024);
}

#[tokio::test]
async fn all_that_was_written_before_the_end_is_kept() {
    let running =
        processes().spawn(shell("head -c 60000 /dev/zero").stdout(Output::Capture { limit: 100_000 })).unwrap();
    let (stdout, stderr) = running.captured().await;
    assert_eq!((stdout.bytes.len(), stdout.dropped), (60_000, 0));
    assert_eq!(stderr, Captured::default());
    assert_eq!(running.captured().await.0, stdout);
}

#[tokio::test]
async fn a_grandchild_that_holds_stdout_delays_nothing_and_is_killed() {
    let outcome = timeout(LONG, processes().run_to_end(shell("sleep 300 & echo $!").stdout(KIB), LONG)).await;
    let outcome = outcome.expect("the pipe of the grandchild is not waited for").unwrap();
    assert!(outcome.success(), "{outcome:?}");
    let grandchild = numbers(&outcome.stdout.text())[0];
    eventually("the grandchild is killed and reaped", || stat(grandchild).is_none()).await;
}

#[tokio::test]
async fn a_grandchild_out_of_the_group_that_floods_stdout_delays_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let script = "setsid sh -c ': > flooding; exec yes' & while ! [ -e flooding ]; do sleep 0.02; done; echo $! >&2";
    let command = shell(script).directory(directory.path()).stdout(KIB).stderr(KIB);
    let running = processes().spawn(command).unwrap();
    let captured = timeout(LONG, running.captured()).await;
    let (stdout, stderr) = captured.expect("the pipe of the grandchild is not waited for");
    assert_eq!(running.status(), Some(Status::Exited(0)));
    assert!(stdout.bytes.len() <= 1024, "{stdout:?}");
    let flooder = numbers(&stderr.text())[0];
    eventually("the flooder, whose pipe nobody reads any more, is gone", || stat(flooder).is_none()).await;
}

#[tokio::test]
async fn stdin_is_written_and_then_closed() {
    let bytes: Vec<u8> = (0..=255).cycle().take(1_000_000).collect();
    let command = Command::new("cat").stdin(Input::Bytes(bytes.clone())).stdout(Output::Capture { limit: 2_000_000 });
    let outcome = processes().run_to_end(command, LONG).await.unwrap();
    assert!(outcome.success() && outcome.stdout.bytes == bytes, "{outcome:?}");
    let empty = processes().run_to_end(Command::new("cat").stdin(Input::Bytes(Vec::new())), LONG).await.unwrap();
    assert!(empty.success());
    let null = processes().run_to_end(Command::new("cat"), LONG).await.unwrap();
    assert!(null.success());
}

#[tokio::test]
async fn stdin_that_nobody_reads_is_no_error() {
    let large = || Input::Bytes(vec![b'x'; 1_000_000]);
    for script in ["exit 0", "exec <&-; sleep 0.1; exit 0", "sleep 300 & exit 0"] {
        let outcome = timeout(LONG, processes().run_to_end(shell(script).stdin(large()), LONG)).await.unwrap().unwrap();
        assert!(outcome.success(), "{script}: {outcome:?}");
    }
}
