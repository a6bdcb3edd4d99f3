//! How processes start and end, and who is told.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use common::{LONG, eventually, processes, shell, stat};
use processes::{Command, Output, Processes, SpawnErrorKind, Status};

fn captured(command: Command) -> Command {
    command.stdout(Output::Capture { limit: 4096 }).stderr(Output::Capture { limit: 4096 })
}

fn file(directory: &Path, name: &str, content: &str, mode: u32) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

#[tokio::test]
async fn the_code_of_an_exit_and_the_number_of_a_signal() {
    let processes = processes();
    let exited = processes.spawn(shell("exit 7")).unwrap();
    assert_eq!(exited.wait().await, Status::Exited(7));
    let killed = processes.spawn(shell("kill -TERM $$")).unwrap();
    assert_eq!(killed.wait().await, Status::Signaled(15));
    assert_eq!(killed.wait().await.exit_code(), 143);
    assert!(processes.spawn(shell("exit 0")).unwrap().wait().await.success());
}

#[tokio::test]
async fn one_that_ended_before_anyone_waits_is_not_lost() {
    let running = processes().spawn(shell("exit 3")).unwrap();
    eventually("its end is known", || running.status() == Some(Status::Exited(3))).await;
    assert_eq!(stat(running.pid()), None);
    assert_eq!(running.wait().await, Status::Exited(3));
    assert_eq!(running.clone().wait().await, Status::Exited(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_at_once_each_get_their_own_status() {
    let processes = processes();
    let tasks: Vec<_> = (0..200)
        .map(|number| {
            let processes = processes.clone();
            tokio::spawn(async move {
                let script = format!("exit {number}");
                let running = processes.spawn(shell(&script)).unwrap();
                assert_eq!(running.wait().await, Status::Exited(number));
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[test]
fn waiting_goes_on_when_the_first_runtime_is_gone() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (processes, running) = runtime().block_on(async {
        let processes = Processes::start().unwrap();
        let running = processes.spawn(captured(shell("sleep 0.2; echo late; exit 5"))).unwrap();
        (processes, running)
    });
    runtime().block_on(async {
        assert_eq!(running.wait().await, Status::Exited(5));
        assert_eq!(running.captured().await.0.text(), "late\n");
        assert_eq!(processes.spawn(shell("exit 6")).unwrap().wait().await, Status::Exited(6));
    });
}

#[tokio::test]
async fn a_program_that_is_not_there() {
    for program in ["no-such-program-here", "/no/such/program", "/dev/null/program"] {
        let error = processes().spawn(Command::new(program)).unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (SpawnErrorKind::NotFound, 127), "{error}");
        assert!(error.to_string().contains(program), "{error}");
    }
}

#[tokio::test]
async fn a_missing_interpreter_is_told_from_a_missing_program() {
    let directory = tempfile::tempdir().unwrap();
    let script = file(directory.path(), "script", "#!/no/such/interpreter\n", 0o755);
    let error = processes().spawn(Command::new(script)).unwrap_err();
    assert_eq!(error.exit_code(), 127, "{error}");
    assert!(error.to_string().contains("interpreter"), "{error}");
}

#[tokio::test]
async fn a_program_that_cannot_be_executed() {
    let directory = tempfile::tempdir().unwrap();
    let plain = file(directory.path(), "plain", "#!/bin/sh\nexit 0\n", 0o644);
    let formless = file(directory.path(), "formless", "exit 0\n", 0o755);
    let path = directory.path().as_os_str();
    for command in [
        Command::new(&plain),
        Command::new("plain").env("PATH", path),
        Command::new(&formless),
        Command::new("formless").env("PATH", path),
        Command::new(directory.path()),
    ] {
        let error = processes().spawn(command).unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (SpawnErrorKind::NotExecutable, 126), "{error}");
    }
}

#[tokio::test]
async fn a_wrong_command_is_refused_before_anything_starts() {
    let processes = processes();
    for command in [
        Command::new(""),
        Command::new("true").arg("a\0b"),
        Command::new("true").env("A=B", "c"),
        Command::new("true").env("", "c"),
        Command::new("true").env("A", "a\0b"),
        Command::new("true").directory("/no/such/directory"),
        Command::new("true").directory("/etc/passwd"),
        Command::new("true").arg("x".repeat(3 << 20)),
    ] {
        let error = processes.spawn(command).unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (SpawnErrorKind::Invalid, 1), "{error}");
    }
}

#[tokio::test]
async fn a_hostile_name_is_escaped_in_the_message() {
    let error = processes().spawn(Command::new("/no/\x1b[2Jsuch\nprogram")).unwrap_err();
    assert!(!error.to_string().contains(['\x1b', '\n']), "{error:?}");
}

#[tokio::test]
async fn environment_directory_and_arguments_arrive_as_they_are() {
    let processes = processes();
    let print =
        Command::new("env").clear_env().env("PATH", "/usr/bin:/bin").env("A", "1 $HOME").env("B", "2").remove_env("B");
    let outcome = processes.run_to_end(captured(print), LONG).await.unwrap();
    assert_eq!(outcome.stdout.text(), "A=1 $HOME\nPATH=/usr/bin:/bin\n");

    let inherits =
        processes.run_to_end(captured(Command::new("env").remove_env("CARGO_MANIFEST_DIR")), LONG).await.unwrap();
    let lines = inherits.stdout.text().into_owned();
    assert!(lines.lines().any(|line| line.starts_with("PATH=")), "{lines}");
    assert!(!lines.lines().any(|line| line.starts_with("CARGO_MANIFEST_DIR=")), "{lines}");

    let directory = tempfile::tempdir().unwrap();
    file(directory.path(), "here", "#!/bin/sh\nprintf '%s|' \"$0\" \"$@\"; pwd -P\n", 0o755);
    let relative = Command::new("./here").args(["$HOME", "a b", ";", ""]).directory(directory.path());
    let outcome = processes.run_to_end(captured(relative), LONG).await.unwrap();
    let expected = format!("./here|$HOME|a b|;||{}\n", directory.path().canonicalize().unwrap().display());
    assert_eq!(outcome.stdout.text(), expected);
}

#[tokio::test]
async fn every_process_leads_a_group_of_its_own() {
    let running = processes().spawn(Command::new("sleep").arg("300")).unwrap();
    assert_eq!(stat(running.pid()).map(|(_, _, group)| group), Some(running.pid()));
    running.signal(processes::Signal::KILL).unwrap();
    assert_eq!(running.wait().await, Status::Signaled(9));
    let refused = running.signal(processes::Signal::KILL).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::NotFound);
    assert!(running.signal_group(processes::Signal::KILL).is_err());
}

#[test]
fn every_future_can_move_between_threads() {
    fn moves(_future: &impl Send) {}
    let processes = processes();
    let running = processes.spawn(shell("exit 0")).unwrap();
    moves(&running.wait());
    moves(&running.captured());
    moves(&running.stop(processes::Signal::TERM, LONG));
    moves(&processes.run_to_end(shell("exit 0"), LONG));
    moves(&processes.sweep(LONG));
}
