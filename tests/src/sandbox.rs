//! A place of its own for each test.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::canary::{self, MARK};
use crate::{Launch, program};

/// A working directory and a runtime directory for one test. Dropping it ends every process that was started in it.
#[derive(Debug)]
pub struct Sandbox {
    root: TempDir,
    logs: PathBuf,
    launched: AtomicUsize,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let logs = match canary::kept() {
            Some(kept) => kept.join(root.path().file_name().expect("a directory has a name")),
            None => root.path().join("logs"),
        };
        for directory in [&root.path().join("work"), &root.path().join("run"), &logs] {
            fs::DirBuilder::new().mode(0o700).create(directory).expect("a directory of its own");
        }
        Self { root, logs, launched: AtomicUsize::new(0) }
    }

    /// The working directory of everything that is started here.
    pub fn dir(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// The value of `XDG_RUNTIME_DIR` for everything that is started here.
    pub fn runtime_dir(&self) -> PathBuf {
        self.root.path().join("run")
    }

    /// A path in the working directory.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir().join(name)
    }

    /// Writes a file, and makes its directory where there is none.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("a directory in the sandbox");
        fs::write(&path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    /// Reads a file; `None` when there is none.
    pub fn read(&self, name: &str) -> Option<String> {
        match fs::read(self.path(name)) {
            Ok(content) => Some(String::from_utf8(content).expect("UTF-8")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => panic!("{name}: {error}"),
        }
    }

    /// How many lines a file has; none when there is no such file. For logs that commands append to.
    pub fn lines(&self, name: &str) -> usize {
        self.read(name).map_or(0, |text| text.lines().count())
    }

    /// The program with these arguments, in the working directory.
    pub fn program<A: AsRef<str>>(&self, arguments: impl IntoIterator<Item = A>) -> Launch {
        let arguments: Vec<_> = arguments.into_iter().map(|argument| argument.as_ref().to_owned()).collect();
        let mut command = Command::new(program());
        command.args(&arguments);
        self.launch(command)
    }

    /// A script for bash, which finds the program as `$CLUSTERCONTROL`.
    pub fn script(&self, text: &str) -> Launch {
        let mut command = Command::new("bash");
        command.args(["-c", text]).env("CLUSTERCONTROL", program());
        self.launch(command)
    }

    /// Any other command.
    pub fn launch(&self, mut command: Command) -> Launch {
        let ours = ["CLUSTER_", "ETCDCTL_", "CONSUL_", "RUST_LOG"];
        for (name, _) in std::env::vars_os() {
            if ours.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command.current_dir(self.dir()).env("XDG_RUNTIME_DIR", self.runtime_dir()).env(MARK, self.root.path());
        // What a test says about them itself comes later, and wins.
        command.envs(canary::HELD);
        let number = self.launched.fetch_add(1, Ordering::Relaxed);
        Launch::new(command, self.logs.join(format!("{number:02}")))
    }

    /// The ids of all processes that were started in this sandbox, directly or not, and have not ended.
    pub fn processes(&self) -> Vec<u32> {
        let mark = format!("{MARK}={}", self.root.path().display());
        let all = fs::read_dir("/proc").expect("/proc").flatten();
        let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        // One that ends at this moment, or belongs to somebody else, has no environment to show.
        ids.filter(|id| {
            let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        })
        .collect()
    }

    /// Everything that was written by what was started here, for the person who reads why a test failed.
    fn show_logs(&self) {
        let mut logs: Vec<_> = fs::read_dir(&self.logs).into_iter().flatten().flatten().collect();
        logs.sort_by_key(fs::DirEntry::file_name);
        for log in logs {
            let text = fs::read(log.path()).unwrap_or_default();
            if !text.is_empty() {
                eprintln!("--- {}\n{}", log.file_name().display(), String::from_utf8_lossy(&text));
            }
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show_logs();
        }
        for id in self.processes() {
            if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}
