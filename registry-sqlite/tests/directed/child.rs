//! The other processes.

use std::env;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Lines, Write, stdin};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use registry_core::{Bytes, RegisterOptions, Registry, RegistryExt};
use registry_sqlite::{Config, SqliteRegistry, connect};
use rustix::time::{ClockId, clock_gettime};

use super::{key, list, long, names};

const ROLE: &str = "REGISTRY_TEST_ROLE";
const STORE: &str = "REGISTRY_TEST_STORE";

/// What this process is to do, if it is not the test itself.
pub(crate) fn role() -> Option<String> {
    env::var(ROLE).ok()
}

/// A process that runs the role; it is killed when it is dropped.
pub(crate) struct Child {
    process: std::process::Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl Child {
    pub(crate) fn start(role: &str, store: &Path) -> Self {
        Self::start_in(&[], role, store)
    }

    /// The same by a command that runs another one.
    pub(crate) fn start_in(wrapper: &[&str], role: &str, store: &Path) -> Self {
        let program = env::current_exe().expect("a path");
        let mut command = Command::new(wrapper.first().map_or(program.as_os_str(), OsStr::new));
        if !wrapper.is_empty() {
            command.args(&wrapper[1..]).arg(&program);
        }
        command.env(ROLE, role).env(STORE, store).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("started");
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().expect("piped")).lines();
        Self { process, input, output }
    }

    /// Says a line, and returns the answer.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        writeln!(self.input.as_mut().expect("piped"), "{line}").expect("the child reads");
        self.hear()
    }

    pub(crate) fn hear(&mut self) -> String {
        self.output.next().expect("the child ended").expect("text")
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("killed");
        self.process.wait().expect("it has ended");
    }

    /// Lets it end, and checks that it ended well.
    pub(crate) fn end(mut self) {
        drop(self.input.take());
        assert!(self.process.wait().expect("it has ended").success());
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) async fn play(role: &str) {
    let store = PathBuf::from(env::var_os(STORE).expect("a store"));
    match role {
        "maker" => {
            // The mode of what it makes must not depend on this.
            rustix::process::umask(rustix::fs::Mode::empty());
            let registry = open(store);
            println!("made");
            lines(|_| async { String::new() }).await;
            drop(registry);
        }
        "writer" => {
            let registry = open(store);
            lines(|name| {
                let registry = registry.clone();
                async move {
                    let now = nanos().to_string();
                    registry.register(&key(&name), Bytes::from(now), &long()).await.expect("registered");
                    "done".into()
                }
            })
            .await;
        }
        "visitor" | "reader" => match connect(Config::new(store).read_only(role == "reader")) {
            Ok(registry) => read(&registry).await,
            Err(error) => println!("{:?}", error.kind()),
        },
        "churner" => churn(&open(store)).await,
        name => own(open(store), name).await,
    }
}

fn open(store: PathBuf) -> SqliteRegistry {
    connect(Config::new(store)).expect("the store opens")
}

/// Keeps an entry of the role's name until the input ends; tells what it sees when it is asked.
async fn own(registry: SqliteRegistry, name: &str) {
    let options = RegisterOptions::new().ttl(Duration::from_secs(2));
    let held = Arc::new(registry.clone()).announce(key(name), "1", options).await.expect("announced");
    println!("held");
    lines(|_| {
        let registry = registry.clone();
        async move { names(&list(&registry).await).join(" ") }
    })
    .await;
    held.deregister().await.expect("released");
}

/// Tells what it sees when it is asked, and how it fares when it is to register.
async fn read(registry: &SqliteRegistry) {
    println!("open");
    lines(|line| async move {
        if line != "register" {
            return names(&list(registry).await).join(" ");
        }
        match registry.register(&key("reader"), Bytes::new(), &long()).await {
            Ok(_) => "registered".into(),
            Err(error) => format!("{:?}", error.kind()),
        }
    })
    .await;
}

/// Registers, gives back and removes as fast as it can.
async fn churn(registry: &SqliteRegistry) {
    let pid = std::process::id();
    println!("ready");
    lines(|_| async {
        let mut lease = None;
        for step in 0..80_u32 {
            let key = key(&format!("n{}", (pid + step * 7) % 5));
            match (step % 4, lease.take()) {
                (2, Some(mine)) => registry.deregister(&mine).await.expect("given back"),
                (3, _) => _ = registry.remove(&key).await.expect("removed"),
                _ => {
                    let registered = registry.register(&key, Bytes::from(step.to_string()), &long()).await;
                    lease = Some(registered.expect("registered"));
                }
            }
        }
        "done".into()
    })
    .await;
}

/// Answers every line of the input, until it ends.
async fn lines<F: Future<Output = String>>(answer: impl Fn(String) -> F) {
    for line in stdin().lines() {
        println!("{}", answer(line.expect("text")).await);
    }
}

/// A clock that all processes of this machine share.
pub(crate) fn nanos() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}
