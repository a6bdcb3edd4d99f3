//! Where servers can run on this machine.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use testcontainers::bollard::Docker;
use testcontainers::core::client::docker_client_instance;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::{Instant, sleep, timeout};

use crate::options::Version;
use crate::{Error, Result};

pub(crate) enum Kind {
    /// An engine answers.
    Container(Docker),
    Process,
}

impl Kind {
    pub(crate) async fn find(process: bool) -> Result<Self> {
        let wish = std::env::var("TEST_SERVERS").unwrap_or_default();
        if process || wish == "process" {
            return Ok(Self::Process);
        }
        if !wish.is_empty() {
            return Err(Error::new(format!(
                "TEST_SERVERS={wish:?}: the only value is `process`; leave it unset for containers wherever a Docker engine answers"
            )));
        }
        Ok(match call(answering_engine).await? {
            Some(docker) => Self::Container(docker),
            None => Self::Process,
        })
    }
}

/// Runs what talks to the engine, on a runtime that lasts as long as the process. Every trial has a runtime of its own,
/// while testcontainers shares one client among them: a connection that was opened on the runtime of a trial dies with
/// it, under the hands of another one.
pub(crate) async fn call<T, F>(ask: impl FnOnce() -> F + Send + 'static) -> T
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    // On a thread of its own, for not all futures of testcontainers may move to another one.
    match runtime().spawn_blocking(|| runtime().block_on(ask())).await {
        Ok(done) => done,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}

/// The runtime of [`call`].
pub(crate) fn runtime() -> &'static Handle {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let start = || Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a thread can be started");
    RUNTIME.get_or_init(start).handle()
}

/// How long an engine that is there may take to answer, on a machine that is busy.
const PATIENCE: Duration = Duration::from_mins(1);

/// The engine, if there is one.
///
/// # Errors
/// One that is there and does not answer: other servers than those that were meant would be used in silence.
async fn answering_engine() -> Result<Option<Docker>> {
    let Ok(docker) = docker_client_instance().await else {
        return Ok(None);
    };
    let begun = Instant::now();
    loop {
        let why = match timeout(PATIENCE, docker.ping()).await {
            Ok(Ok(_)) => return Ok(Some(docker)),
            Ok(Err(why)) if is_absent(&why) => return Ok(None),
            Ok(Err(why)) => why.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        if begun.elapsed() >= PATIENCE {
            return Err(Error::new(format!(
                "the Docker engine does not answer ({why}): mend it, or use TEST_SERVERS=process for servers without one"
            )));
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// Whether nobody listens where the engine would.
fn is_absent(why: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(why);
    while let Some(why) = cause {
        if let Some(why) = why.downcast_ref::<io::Error>() {
            return matches!(why.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused);
        }
        cause = why.source();
    }
    false
}

/// The program `etcd` of this version, for a test that starts it where no [`Etcd`](crate::Etcd) can be, such as in a
/// network namespace. `etcdctl` lies beside it.
///
/// # Errors
/// When there is none; the message says how to get it.
pub fn etcd_program(version: Version) -> Result<PathBuf> {
    Ok(programs(version)?.join("etcd"))
}

/// A directory with `etcd` and `etcdctl` of this version: what `scripts/images` fetched, else what is on PATH.
pub(crate) fn programs(version: Version) -> Result<PathBuf> {
    let is_right = |directory: &Path| {
        let prefix = format!("etcd Version: {}.", version.name());
        says(&directory.join("etcd"), "--version", &prefix) && directory.join("etcdctl").exists()
    };
    find(version.name(), is_right).ok_or_else(|| {
        Error::new(format!(
            "there is no etcd {version} to start: there is no Docker engine (or TEST_SERVERS=process is set), and neither \
             below target/test-servers nor on PATH is an etcd {version} with its etcdctl. Run `make images`: it makes the image, or fetches the program without touching the system",
            version = version.name()
        ))
    })
}

/// A directory with `consul`: what `scripts/images` fetched, else any version that is on PATH.
pub(crate) fn consul_programs(version: &str) -> Result<PathBuf> {
    let is_right = |directory: &Path| says(&directory.join("consul"), "version", "Consul v");
    find(&format!("consul-{version}"), is_right).ok_or_else(|| {
        Error::new(
            "there is no Consul to start: there is no Docker engine (or TEST_SERVERS=process is set), and neither below \
             target/test-servers nor on PATH is one. Run `make images`: it makes the image, or fetches the program without touching the system",
        )
    })
}

/// The first right directory: what was fetched below this name, else one of PATH.
fn find(fetched: &str, is_right: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from);
    let fetched = target.join("test-servers").join(fetched).join("bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::iter::once(fetched).chain(std::env::split_paths(&path)).find(|directory| is_right(directory))
}

/// Whether a program, asked for its version, begins with these words.
fn says(program: &Path, argument: &str, words: &str) -> bool {
    let output = Command::new(program).arg(argument).output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).starts_with(words))
}
