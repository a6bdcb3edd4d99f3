//! A new project of twenty lines, outside of the workspace, registers, watches and balances on a backend that its URL names.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use test_servers::{Consul, ConsulOptions, Etcd, Version};

const PROGRAM: &str = include_str!("new_project/program.rs");
const SOON: Duration = Duration::from_secs(30);

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace")
}

/// Makes the project and builds it, in the workspace's own target directory and with its versions, so that little is new.
fn build(place: &Path) -> PathBuf {
    let root = workspace();
    let manifest = format!(
        r#"
[package]
name = "new-project"
version = "0.1.0"
edition = "2024"

[dependencies]
registry = {{ path = "{root}/registry", features = ["consul", "etcd-v2", "etcd-v3"] }}
registry-tower = {{ path = "{root}/registry-tower" }}
tokio = {{ version = "1", features = ["macros", "rt-multi-thread"] }}
tower = {{ version = "0.5", features = ["balance", "load", "util"] }}

[profile.dev]
debug = "line-tables-only"

[workspace]
"#,
        root = root.display()
    );
    std::fs::create_dir_all(place.join("src")).expect("a directory");
    std::fs::write(place.join("Cargo.toml"), manifest).expect("written");
    std::fs::write(place.join("src/main.rs"), PROGRAM).expect("written");
    std::fs::copy(root.join("Cargo.lock"), place.join("Cargo.lock")).expect("the versions");
    // tests are run from target/debug/deps
    let executable = std::env::current_exe().expect("this test");
    let target = executable.ancestors().nth(3).expect("the target directory");
    let mut cargo = Command::new(env!("CARGO"));
    // What cargo tells its tests of themselves would make everything that looks at it be built anew, here and afterwards.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|own| name.starts_with(own))) {
            cargo.env_remove(name);
        }
    }
    cargo.args(["build", "--offline", "--quiet", "--target-dir"]).arg(target).current_dir(place);
    let built = cargo.output().expect("cargo");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    target.join("debug/new-project")
}

/// One run of the program.
struct Run {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Run {
    fn start(program: &Path, url: &str, port: &str) -> Self {
        let mut command = Command::new(program);
        command.args([url, port]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let answers = BufReader::new(child.stdout.take().expect("its answers"));
        Self { child, answers }
    }

    fn ask(&mut self) -> String {
        writeln!(self.child.stdin.as_mut().expect("its input"), "question").expect("it listens");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("it answers");
        answer.trim_end().strip_prefix("question is answered by ").expect(&answer).to_owned()
    }

    /// Asks until exactly these answer.
    fn answered_by(&mut self, wanted: &[&str]) {
        let begun = Instant::now();
        loop {
            let answers: BTreeSet<_> = (0..50).map(|_| self.ask()).collect();
            if answers.iter().map(String::as_str).eq(wanted.iter().copied()) {
                return;
            }
            assert!(begun.elapsed() < SOON, "{answers:?} instead of {wanted:?}");
        }
    }

    fn end(mut self) -> ExitStatus {
        drop(self.child.stdin.take());
        self.child.wait().expect("it ends")
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Ended already, unless the trial failed.
        let _ = self.child.kill();
    }
}

fn works(program: &Path, url: &str) {
    let mut one = Run::start(program, url, "8001");
    one.answered_by(&["127.0.0.1:8001"]);
    let mut two = Run::start(program, url, "8002");
    for run in [&mut one, &mut two] {
        run.answered_by(&["127.0.0.1:8001", "127.0.0.1:8002"]);
    }
    assert!(one.end().success());
    two.answered_by(&["127.0.0.1:8002"]);
    assert!(two.end().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_lines_register_watch_and_balance() {
    assert!(PROGRAM.lines().count() <= 20, "{} lines", PROGRAM.lines().count());
    let place = tempfile::tempdir().expect("a directory");
    let program = build(place.path());
    let store = format!("sqlite://{}/registry.db", place.path().display());
    let server = Etcd::start(Version::V3_4).await.expect("etcd starts");
    let agent = Consul::start(ConsulOptions::default()).await.expect("Consul starts");
    let (etcd, consul) = (server.endpoint(), agent.endpoint());
    let servers = [("etcd", &etcd), ("etcd-v2", &etcd), ("consul", &consul), ("consul-kv", &consul)];
    for url in std::iter::once(store).chain(servers.map(|(scheme, endpoint)| format!("{scheme}://{endpoint}"))) {
        let program = program.clone();
        let run = tokio::task::spawn_blocking(move || works(&program, &url));
        run.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    }
}
