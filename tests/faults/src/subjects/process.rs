//! A client as a process of its own, which can be killed and frozen by the kernel.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncReadExt;

use super::Role;
use super::client::inside;
use crate::Result;
use crate::history::History;
use crate::stores::{Kind, Link, open};

/// What a process is told: its store, where that is, its name, its role, and its history.
#[derive(Clone, Debug)]
pub struct Part {
    /// Which store.
    pub kind: Kind,
    /// Where the process connects.
    pub endpoint: String,
    /// Its name.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// Where it writes what it does and sees.
    pub history: PathBuf,
}

/// A running process. It ends in good order when its standard input does.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
}

impl Process {
    pub(super) fn start(part: &Part) -> Result<Self> {
        // The program that runs, also when another one was built in its place.
        let child = Command::new("/proc/self/exe")
            .arg("client")
            .args(["--store", &part.kind.to_string()])
            .args(["--endpoint", &part.endpoint])
            .args(["--name", &part.name])
            .args(["--role", &part.role.to_string()])
            .arg("--history")
            .arg(&part.history)
            .stdin(Stdio::piped())
            .spawn()?;
        Ok(Self { child })
    }

    pub(super) fn kill(&mut self) {
        // One that has ended by itself cannot be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(super) async fn stop(mut self) {
        drop(self.child.stdin.take());
        let _ = tokio::task::spawn_blocking(move || self.child.wait()).await;
    }

    pub(super) fn freeze(&self, duration: Duration) {
        // Not waited for as long as this lives, so that the id is still its own; the child may be dead, and then so be it.
        let id = Pid::from_child(&self.child);
        if kill_process(id, Signal::STOP).is_ok() {
            tokio::spawn(async move {
                tokio::time::sleep(duration).await;
                let _ = kill_process(id, Signal::CONT);
            });
        }
    }
}

/// Where the way to a store leads a process.
pub(super) fn endpoint(link: &Arc<Link>, direct: String) -> String {
    match &**link {
        Link::Network { proxy, .. } => proxy.endpoint(),
        Link::Members { endpoints, .. } => endpoints.clone(),
        Link::Calls(_) => direct,
    }
}

/// The other side: plays a part until the standard input ends.
///
/// # Errors
/// When the store cannot be connected to, or the history not be written.
pub fn play(part: Part) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let history = History::append(&part.history)?;
        let registry = open(part.kind, &part.endpoint)?;
        let ended = async {
            let mut input = tokio::io::stdin();
            // Nothing is ever said; an error is an end as well.
            while input.read(&mut [0; 16]).await.is_ok_and(|count| count > 0) {}
        };
        inside(registry, history.recorder(part.name.as_str()), ended, |context| part.role.play(context, part.kind))
            .await;
        Ok(())
    })
}

/// The file of a client's own history, beside that of the run.
pub(super) fn own_history(history: &Path, name: &str) -> PathBuf {
    history.with_extension(format!("{name}.jsonl"))
}
