//! Nothing is left behind, whatever ends the tests: Ctrl-C, a time limit's SIGTERM, SIGKILL, an abort.
//!
//! `Drop` does not run then. So a shell waits at the other end of a pipe; the kernel closes the pipe when this process
//! ends, however it ends, and the shell removes what was not removed before.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::{Error, Result};

/// A line is written once when its server starts and once more when it is gone, so those that occur an odd number of
/// times are left: with distinct names that is `uniq -u`. A process is killed only if it still is what it was.
const SCRIPT: &str = r#"
trap '' INT TERM HUP QUIT
left=$(sort | uniq -u)
printf '%s\n' "$left" | while read -r kind name directory; do
    case $kind in
        container) docker rm --force --volumes "$name" ;;
        network) docker network rm "$name" ;;
        image) docker image rm --force "$name" ;;
        process)
            if tr '\0' '\n' <"/proc/$name/cmdline" | grep -qF -- "$directory"; then kill -KILL "$name"; fi
            rm -rf -- "$directory"
            ;;
    esac
done
"#;

/// Something that must not outlive this process, however that ends: Ctrl-C and SIGKILL included. Dropping it says that the
/// thing is gone.
#[derive(Debug)]
pub struct Mortal {
    line: String,
}

impl Mortal {
    /// A container, with the volumes that have no name.
    pub fn container(name: &str) -> Result<Self> {
        Self::new(format!("container {name}\n"))
    }

    /// An image that was made for these tests. It is removed after the containers.
    pub fn image(name: &str) -> Result<Self> {
        Self::new(format!("image {name}\n"))
    }

    /// A network of containers. It is removed after the containers.
    pub(crate) fn network(name: &str) -> Result<Self> {
        Self::new(format!("network {name}\n"))
    }

    pub(crate) fn process(id: u32, directory: &str) -> Result<Self> {
        Self::new(format!("process {id} {directory}\n"))
    }

    fn new(line: String) -> Result<Self> {
        tell(&line)?;
        Ok(Self { line })
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        // Without the shell nobody is there to be told.
        let _ = tell(&self.line);
    }
}

fn tell(line: &str) -> Result<()> {
    static PIPE: OnceLock<std::result::Result<Mutex<ChildStdin>, String>> = OnceLock::new();
    let pipe = PIPE
        .get_or_init(|| start().map_err(|why| why.to_string()))
        .as_ref()
        .map_err(Error::because("cannot start the shell that cleans up after the tests"))?;
    let mut pipe = pipe.lock().unwrap_or_else(PoisonError::into_inner);
    pipe.write_all(line.as_bytes()).map_err(Error::because("the shell that cleans up after the tests has gone"))
}

fn start() -> std::io::Result<Mutex<ChildStdin>> {
    let mut shell = Command::new("sh")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        // A test runner waits for the end of these.
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A signal for the group of the tests is not for the one who cleans up after them.
        .process_group(0)
        .spawn()?;
    let pipe = shell.stdin.take().ok_or_else(|| std::io::Error::other("the shell has no input"))?;
    Ok(Mutex::new(pipe))
}
