//! Secrets that everything started by a test holds, and what is kept of a run to look for them in.
//!
//! When the variable `TEST_OUTPUT` names a directory, all that was written by what the tests started is kept there, in
//! containers too, and the arguments of every process that was seen in a sandbox; `scripts/canaries` searches it when all
//! tests are over.

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

/// Says which sandbox a process belongs to, in its environment.
pub const MARK: &str = "TEST_SANDBOX";

/// Secrets that each registry's clients take from their environment, and one that is the container's own affair. The
/// search knows them by how they begin.
pub const HELD: [(&str, &str); 2] =
    [("CONSUL_HTTP_TOKEN", "cAnArY-token-5527"), ("TEST_OTHER_SECRET", "cAnArY-other-9143")];
/// The same for etcd v2, which does not look at them where it asks nobody who he is.
pub(crate) const HELD_ON_V2: [(&str, &str); 2] =
    [("ETCDCTL_USER", "root"), ("ETCDCTL_PASSWORD", "cAnArY-password-8836")];

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Where to keep what this run writes; `None` when nobody asked for it.
pub(crate) fn kept() -> Option<PathBuf> {
    env::var_os("TEST_OUTPUT").map(PathBuf::from)
}

/// Keeps what was written where it would be gone when the search begins. It does nothing when nothing is kept.
pub fn keep<T: AsRef<[u8]>>(name: &str, content: impl FnOnce() -> T) {
    if let Some(directory) = kept() {
        fs::write(directory.join(name), content()).expect("a directory for what is kept");
    }
}

/// Looks at the list of processes until it is dropped, and then keeps the arguments of those that belong to a sandbox. The
/// servers do not: an administrator may well tell them a secret that way.
pub(crate) struct Sampler(Option<(Sender<()>, JoinHandle<()>)>);

impl Sampler {
    /// For the executable that runs now. It does nothing when nothing is kept.
    pub(crate) fn start() -> Self {
        Self(kept().map(|_| {
            let (stop, stopped) = channel();
            (
                stop,
                spawn(move || {
                    let mut seen = BTreeSet::new();
                    while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                        seen.extend(commands());
                    }
                    keep_arguments(&seen);
                }),
            )
        }))
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.0.take() {
            drop(stop);
            thread.join().expect("what was seen can be written down");
        }
    }
}

/// The command lines of all processes in sandboxes, with spaces between the arguments.
fn commands() -> impl Iterator<Item = String> {
    fs::read_dir("/proc").expect("/proc").flatten().filter_map(|entry| {
        entry.file_name().to_str()?.parse::<u32>().ok()?;
        // One that ends at this moment has nothing to show.
        let environment = fs::read(entry.path().join("environ")).ok()?;
        let is_ours = environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(MARK.as_bytes()));
        let arguments = fs::read(entry.path().join("cmdline")).ok().filter(|_| is_ours)?;
        Some(String::from_utf8_lossy(&arguments).replace(['\0', '\n'], " "))
    })
}

fn keep_arguments(seen: &BTreeSet<String>) {
    let lines = seen.iter().fold(String::new(), |mut text, line| {
        writeln!(text, "{line}").expect("a string");
        text
    });
    let own = env::current_exe().expect("an executable has a path");
    let name = own.file_name().expect("it is a file").to_string_lossy();
    keep(&format!("{name}.processes"), || lines);
}
