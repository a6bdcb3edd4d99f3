//! The foreground of a terminal. `script` makes the terminal; below it this same binary plays the program that owns it.

mod common;

use std::io::Write as _;
use std::process::{Command as Std, ExitCode, Stdio};

use common::{LONG, eventually, processes, shell, stat};
use libtest_mimic::{Arguments, Failed, Trial};
use processes::{Command, Input, Signal};
use tokio::time::timeout;

fn main() -> ExitCode {
    match std::env::var("TERMINAL_HELPER").as_deref() {
        Ok("given") => helper(reads_a_line_when_it_is_given_the_terminal()),
        Ok("kept") => helper(is_stopped_when_it_is_not()),
        _ => {
            let trials = [
                ("a_process_that_is_given_the_terminal_can_read_from_it", "given"),
                ("a_process_that_is_not_given_the_terminal_is_stopped", "kept"),
            ];
            let trial = |(name, part)| Trial::test(name, move || below_a_terminal(part));
            libtest_mimic::run(&Arguments::from_args(), trials.map(trial).into()).exit_code()
        }
    }
}

fn below_a_terminal(part: &str) -> Result<(), Failed> {
    let mut script = Std::new("script")
        .args(["--quiet", "--return", "--command"])
        .arg(std::env::current_exe()?)
        .arg("/dev/null")
        .env("TERMINAL_HELPER", part)
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot run script, of util-linux: {error}"))?;
    // Kept open: the end of script's stdin would be an end of file on the terminal.
    let mut keyboard = script.stdin.take().ok_or("no stdin")?;
    keyboard.write_all(b"hello\n")?;
    let output = script.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || (part == "given" && !text.contains("got hello")) {
        return Err(format!("{}: {text}", output.status).into());
    }
    Ok(())
}

fn helper(part: impl Future<Output = ExitCode>) -> ExitCode {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(part)
}

fn reader() -> Command {
    shell("read line && echo \"got $line\"")
}

async fn reads_a_line_when_it_is_given_the_terminal() -> ExitCode {
    let running = processes().spawn(reader().terminal()).unwrap();
    let status = timeout(LONG, running.wait()).await.expect("it is not stopped");
    ExitCode::from(u8::from(!status.success()))
}

/// Shows that the other part proves something.
async fn is_stopped_when_it_is_not() -> ExitCode {
    let running = processes().spawn(reader().stdin(Input::Inherit)).unwrap();
    eventually("it is stopped", || stat(running.pid()).is_some_and(|(state, _, _)| state == 'T')).await;
    running.stop(Signal::KILL, LONG).await;
    ExitCode::SUCCESS
}
