//! A server as a child process.

use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::launch::Launch;
use crate::plan::{Place, Plan};
use crate::reaper::Mortal;
use crate::{Api, Error, Result};

/// How long a server may take to end by itself.
const GRACE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Process {
    program: PathBuf,
    directory: TempDir,
    files: String,
    arguments: Vec<String>,
    /// Not waited for as long as this is set, so that the id is still its own.
    child: Option<Child>,
    mortal: Option<Mortal>,
}

impl Process {
    pub(crate) fn create(plan: &dyn Plan) -> Result<Self> {
        let directory = TempDir::with_prefix("test-servers-")
            .map_err(Error::because("cannot make a directory for the server's data"))?;
        let files = plan.files().map(|files| files.to_string_lossy().into_owned()).unwrap_or_default();
        let (program, arguments) = (PathBuf::new(), Vec::new());
        let mut process = Self { program, directory, files, arguments, child: None, mortal: None };
        process.replace(plan)?;
        process.start()?;
        Ok(process)
    }

    /// Another program, or the same with other arguments, from the next start on; the data stays.
    pub(crate) fn replace(&mut self, plan: &dyn Plan) -> Result<()> {
        self.program = plan.programs()?.join(plan.program());
        self.arguments = plan.arguments(&Place {
            address: "127.0.0.1",
            data: &self.directory.path().join("data").to_string_lossy(),
            files: &self.files,
        });
        Ok(())
    }

    pub(crate) fn describe(&self) -> String {
        format!("in a process of {}", self.program.display())
    }

    pub(crate) fn start(&mut self) -> Result<()> {
        if self.is_running()? {
            return Ok(());
        }
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.directory.path().join("log"))
            .map_err(Error::because("cannot open the server's log"))?;
        let errors = log.try_clone().map_err(Error::because("cannot open the server's log"))?;
        let child = Command::new(&self.program)
            .args(&self.arguments)
            // Variables such as ETCD_NAME would be taken for settings.
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            // A Ctrl-C is for the tests; the clean-up after them ends the server.
            .process_group(0)
            .spawn()
            .map_err(Error::because(format!("cannot start {}", self.program.display())))?;
        let directory = self.directory.path().to_string_lossy();
        self.mortal = Some(Mortal::process(child.id(), &directory)?);
        self.child = Some(child);
        Ok(())
    }

    pub(crate) async fn stop(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        self.signal(Signal::CONT)?; // it may be paused
        let start = Instant::now();
        while self.is_running()? {
            if start.elapsed() > GRACE {
                return self.kill();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    pub(crate) fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().and_then(|()| child.wait()).map_err(Error::because("cannot kill the server"))?;
        }
        self.mortal = None;
        Ok(())
    }

    /// Returns when it stands still: a signal is sent in a moment, and its threads stop one after the other.
    pub(crate) async fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        let id = self.child.as_ref().map(Child::id).unwrap_or_default();
        let start = Instant::now();
        while !stands_still(id) {
            if start.elapsed() > GRACE {
                return Err(Error::new("the server does not stop"));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    pub(crate) fn unpause(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    pub(crate) fn is_running(&mut self) -> Result<bool> {
        let Some(child) = &mut self.child else {
            return Ok(false);
        };
        let ended = child.try_wait().map_err(Error::because("cannot ask for the server"))?;
        if ended.is_some() {
            self.child = None;
            self.mortal = None;
        }
        Ok(ended.is_none())
    }

    pub(crate) fn log(&self) -> String {
        let log = fs::read(self.directory.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    pub(crate) async fn etcdctl(&self, launch: &Launch, api: Api, arguments: &[&str]) -> Result<String> {
        let arguments = arguments.iter().map(|argument| argument.replace("{files}", &self.files));
        let output = tokio::process::Command::new(self.program.with_file_name("etcdctl"))
            .args(arguments)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(launch.etcdctl_environment(api, &self.files))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(Error::because("cannot run etcdctl"))?;
        crate::server::etcdctl_result(output.status.success(), &output.stdout, &output.stderr)
    }

    /// Replaces the data, while the server does not run.
    pub(crate) async fn restore(&self, launch: &Launch, file: &Path) -> Result<()> {
        let data = self.directory.path().join("data");
        fs::remove_dir_all(&data).map_err(Error::because("cannot remove the server's data"))?;
        // What the server's own defaults are.
        let peers = "http://localhost:2380";
        let given = [
            format!("--data-dir={}", data.display()),
            format!("--initial-cluster=default={peers}"),
            format!("--initial-advertise-peer-urls={peers}"),
            format!("--initial-cluster-token={}", launch.token),
        ];
        let file = file.to_string_lossy();
        let mut arguments = vec!["snapshot", "restore", &file];
        arguments.extend(given.iter().map(String::as_str));
        self.etcdctl(launch, Api::V3, &arguments).await.map(drop)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let Some(child) = &self.child else {
            return Err(Error::new("the server is not running"));
        };
        kill_process(Pid::from_child(child), signal).map_err(Error::because("cannot signal the server"))
    }
}

/// Whether every thread of a process is stopped.
fn stands_still(id: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    threads.map(|thread| fs::read_to_string(thread.path().join("stat")).unwrap_or_default()).all(|stat| {
        // The state follows the name, which may hold anything.
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
    })
}

impl Drop for Process {
    fn drop(&mut self) {
        // What fails here, the clean-up at the end of the process does.
        let _ = self.kill();
    }
}
