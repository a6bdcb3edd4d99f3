//! The Docker engine, as a user drives it.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use cluster_control_tests::canary::{self, HELD, MARK};
use cluster_control_tests::{Finished, eventually};
use test_servers::Mortal;

use crate::image::{SHARED, USER, image};

/// Runs `docker` and returns what it printed, without the last newline. Fails with the reason when it fails.
pub(crate) fn docker(arguments: &[&str]) -> String {
    let output = ask(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {}: {}", arguments.join(" "), said.trim());
    String::from_utf8(output.stdout).expect("UTF-8").trim_end().to_owned()
}

/// Fails with the reason where no engine answers: there is nothing else that could show what these tests show.
pub(crate) fn need_engine() {
    let output = ask(&["version", "--format", "{{.Server.Version}}"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "these tests need a Docker engine, and none answers: {}", said.trim());
}

fn ask(arguments: &[&str]) -> Output {
    // What a container gets by its name stands here, where the list of processes does not show it.
    Command::new("docker")
        .args(arguments)
        .envs(HELD)
        .env(MARK, "a container")
        .output()
        .unwrap_or_else(|error| panic!("these tests need a Docker engine, and `docker` cannot be started: {error}"))
}

/// A container of the image: read-only, without a network, and not root. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Container {
    name: String,
    _mortal: Mortal,
}

impl Container {
    /// Starts it. `options` are more options of `docker run`, `arguments` those of the program.
    pub(crate) fn start(options: &[&str], arguments: &[&str]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("cluster-control-test-program-{}-{number}", std::process::id());
        let image = image();
        let container = Self { _mortal: Mortal::container(&name).unwrap_or_else(|error| panic!("{error}")), name };
        let fixed = ["run", "--detach", "--read-only", "--user", USER, "--name", &container.name];
        let network = if options.contains(&"--network") { &[][..] } else { &["--network", "none"][..] };
        let [first, second] = HELD.map(|(name, _)| name);
        let secrets = ["--env", first, "--env", second, "--env", MARK];
        docker(&[&fixed[..], &secrets, network, options, &[image], arguments].concat());
        container
    }

    /// Starts it and waits for its end.
    pub(crate) fn finish(options: &[&str], arguments: &[&str], limit: Duration) -> Finished {
        let container = Self::start(options, arguments);
        let code = container.wait(limit);
        let output = ask(&["logs", &container.name]);
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Finished { code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Waits for its end and returns its exit code.
    pub(crate) fn wait(&self, limit: Duration) -> i32 {
        eventually(limit, &format!("the end of {}; it has said:\n{}", self.name, self.log()), || !self.is_running());
        self.inspect("{{.State.ExitCode}}").parse().expect("a number")
    }

    pub(crate) fn is_running(&self) -> bool {
        self.inspect("{{.State.Running}}") == "true"
    }

    fn inspect(&self, format: &str) -> String {
        docker(&["inspect", "--format", format, &self.name])
    }

    /// Sends a signal to its first process.
    pub(crate) fn signal(&self, signal: &str) {
        self.keep_files();
        docker(&["kill", "--signal", signal, &self.name]);
    }

    /// Asks it to end, as `docker stop` does, and returns how long that took.
    pub(crate) fn stop(&self) -> Duration {
        self.keep_files();
        let begun = Instant::now();
        docker(&["stop", "--time", "20", &self.name]);
        begun.elapsed()
    }

    /// What it has written to stdout and stderr.
    pub(crate) fn log(&self) -> String {
        let output = ask(&["logs", &self.name]);
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// Runs a command in it and returns what it printed, whether it succeeded or not.
    pub(crate) fn exec(&self, command: &[&str]) -> String {
        let output = ask(&[&["exec", &self.name][..], command].concat());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The content of a file in it; empty when there is none.
    pub(crate) fn read(&self, path: &str) -> String {
        self.exec(&["/busybox", "cat", path])
    }

    /// For the search for secrets: what is written in memory is gone when it ends, and the rest when it is removed.
    fn keep_files(&self) {
        let running = self.is_running();
        let state = if running { "running" } else { "ended" };
        canary::keep(&format!("{}.{state}.tar", self.name), || {
            let all = ["exec", &self.name, "/busybox", "tar", "-c", "-f", "-", "/run", "/etc", SHARED];
            let volume = format!("{}:{SHARED}", self.name);
            if running { ask(&all).stdout } else { ask(&["cp", &volume, "-"]).stdout }
        });
    }

    /// The processes in it: id, parent, state and command.
    pub(crate) fn processes(&self) -> String {
        self.exec(&["/busybox", "ps", "-o", "pid,ppid,stat,args"])
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.name, self.log());
        }
        canary::keep(&format!("{}.log", self.name), || self.log());
        if !std::thread::panicking() {
            self.keep_files();
        }
        // Its volumes go with the last container that uses them.
        ask(&["rm", "--force", "--volumes", &self.name]);
    }
}
