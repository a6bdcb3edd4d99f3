//! The program, or a script that uses it, as a child process.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::waiting::eventually;

/// How long what is no longer wanted may take to end by itself.
const PARTING: Duration = Duration::from_secs(2);

/// A command that is not started yet.
#[derive(Debug)]
pub struct Launch {
    command: Command,
    logs: PathBuf,
}

impl Launch {
    pub(crate) fn new(command: Command, logs: PathBuf) -> Self {
        Self { command, logs }
    }

    /// One more argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts it in a process group of its own, with nothing on stdin.
    pub fn start(mut self) -> Process {
        let (stdout, stderr) = (self.logs.with_extension("stdout"), self.logs.with_extension("stderr"));
        let child = self
            .command
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).expect("a file in the sandbox"))
            .stderr(File::create(&stderr).expect("a file in the sandbox"))
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{:?}: {error}", self.command));
        // Without the environment: a message with the secrets in it would be taken for a leak.
        let words = std::iter::once(self.command.get_program()).chain(self.command.get_args());
        let what = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        Process { child, stdout, stderr, what }
    }

    /// Starts it and waits for its end.
    pub fn finish(self, limit: Duration) -> Finished {
        let mut process = self.start();
        let code = process.wait(limit);
        Finished { code, stdout: process.stdout(), stderr: process.stderr() }
    }
}

/// How something ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The exit code, or 128 plus the signal that ended it.
    pub code: i32,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

/// A running child. Dropping it ends its process group.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    what: String,
}

impl Process {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The processor's time that it has used, to a hundredth of a second. It must run.
    pub fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).expect("it runs");
        let fields: Vec<_> = stat.rsplit(')').next().expect("a name in front").split_whitespace().collect();
        let hundredths =
            [fields[11], fields[12]].iter().map(|field| field.parse::<u64>().expect("a number")).sum::<u64>();
        Duration::from_millis(10 * hundredths)
    }

    /// Waits for its end and returns the exit code, or 128 plus the signal that ended it. Fails when it goes on for longer.
    pub fn wait(&mut self, limit: Duration) -> i32 {
        eventually(limit, &format!("the end of {}", self.what), || !self.is_running());
        code(self.child.wait().expect("a child can be waited for"))
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }

    /// Sends a signal to the process alone. One that has ended gets none.
    pub fn signal(&mut self, signal: Signal) {
        if self.is_running() {
            kill_process(self.pid(), signal).expect("one's own child can be signalled");
        }
    }

    /// What it has written to stdout so far.
    pub fn stdout(&self) -> String {
        read(&self.stdout)
    }

    /// What it has written to stderr so far.
    pub fn stderr(&self) -> String {
        read(&self.stderr)
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The group may outlive its first process; and a program that is asked to end takes what it started with it.
        let _ = kill_process_group(self.pid(), Signal::TERM);
        let begun = std::time::Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begun.elapsed() < PARTING {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = kill_process_group(self.pid(), Signal::KILL);
        let _ = self.child.wait();
    }
}

fn read(path: &PathBuf) -> String {
    String::from_utf8_lossy(&fs::read(path).expect("a file in the sandbox")).into_owned()
}

fn code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).expect("it has ended")
}
