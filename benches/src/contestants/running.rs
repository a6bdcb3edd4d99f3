//! A contestant that runs, and what is seen of it from outside: its file, its output, its use of the machine.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use inotify::{EventMask, Inotify, WatchMask};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::Result;
use crate::harness::Process;

/// The name of the file that is written.
pub(crate) const FILE: &str = "members.json";
/// How many lines of what one says on stderr are kept.
const LINES: usize = 5;
/// How long anything may take.
const LIMIT: Duration = Duration::from_mins(1);
/// How often it is looked whether one still runs.
const LOOK: Duration = Duration::from_secs(1);
/// How long one may take to end by itself.
const PARTING: Duration = Duration::from_secs(5);

/// A running contestant. It is ended when this is dropped.
pub(crate) struct Running {
    child: Child,
    seen: mpsc::UnboundedReceiver<Seen>,
    /// The file, where one is written.
    file: Option<PathBuf>,
    process: Process,
    /// How often something was seen that [`count`](Self::count) has not told.
    seen_before: usize,
    started: Instant,
    /// The last lines of its stderr.
    said: Arc<Mutex<VecDeque<String>>>,
    #[expect(dead_code, reason = "it is removed when this is dropped")]
    directory: TempDir,
}

/// Something was seen from outside.
struct Seen {
    at: Instant,
    /// The line, of what prints lines. Of a file, that it was replaced or changed.
    line: Option<String>,
}

impl Running {
    /// Starts what writes [`FILE`] into the directory.
    pub(super) fn writing(command: Command, directory: TempDir, with_children: bool) -> Result<Self> {
        let (tell, seen) = mpsc::unbounded_channel();
        watch(directory.path(), tell)?;
        let file = Some(directory.path().join(FILE));
        Self::start(command, directory, seen, file, with_children, Stdio::null())
    }

    /// Starts what prints a line for each change.
    pub(super) fn printing(command: Command, directory: TempDir) -> Result<Self> {
        let (tell, seen) = mpsc::unbounded_channel();
        let mut running = Self::start(command, directory, seen, None, false, Stdio::piped())?;
        let output = running.child.stdout.take().ok_or("there is no output")?;
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if tell.send(Seen { at: Instant::now(), line: Some(line) }).is_err() {
                    return;
                }
            }
        });
        Ok(running)
    }

    fn start(
        mut command: Command,
        directory: TempDir,
        seen: mpsc::UnboundedReceiver<Seen>,
        file: Option<PathBuf>,
        with_children: bool,
        stdout: Stdio,
    ) -> Result<Self> {
        // A pipe that is read, as an engine of containers gives it: a file would be on the disk that is measured.
        command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
        let started = Instant::now();
        let program = command.get_program().display().to_string();
        let mut child = command.process_group(0).spawn().map_err(|error| format!("{program}: {error}"))?;
        let process = if with_children { Process::with_children(child.id()) } else { Process::alone(child.id()) };
        let said = Arc::<Mutex<VecDeque<String>>>::default();
        let (errors, kept) = (child.stderr.take().ok_or("there is no stderr")?, Arc::clone(&said));
        thread::spawn(move || {
            for line in BufReader::new(errors).split(b'\n').map_while(Result::ok) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push_back(String::from_utf8_lossy(&line).into_owned());
                if kept.len() > LINES {
                    kept.pop_front();
                }
            }
        });
        Ok(Self { child, seen, file, process, seen_before: 0, started, said, directory })
    }

    /// What it uses of the machine.
    pub(crate) fn process(&self) -> Process {
        self.process
    }

    /// When it was started.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// Waits until its file, or a line that it prints, holds the text. Returns when that came about.
    pub(crate) async fn shows(&mut self, text: &str) -> Result<Instant> {
        let begun = Instant::now();
        loop {
            let seen = loop {
                match timeout(LOOK, self.seen.recv()).await {
                    Ok(Some(seen)) => break seen,
                    // What has ended shows nothing any more.
                    Err(_) if begun.elapsed() < LIMIT && matches!(self.child.try_wait(), Ok(None)) => {}
                    _ => return Err(self.complaint(text)),
                }
            };
            self.seen_before += 1;
            let shown = match (&self.file, &seen.line) {
                (Some(file), _) => fs::read(file).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text)),
                (None, line) => line.as_ref().is_some_and(|line| line.contains(text)),
            };
            if shown {
                return Ok(seen.at);
            }
        }
    }

    /// How often it has replaced its file, or printed a line, since this was last asked.
    pub(crate) fn count(&mut self) -> usize {
        let since = std::iter::from_fn(|| self.seen.try_recv().ok()).count();
        std::mem::take(&mut self.seen_before) + since
    }

    /// What its file holds.
    pub(crate) fn content(&self) -> Result<Vec<u8>> {
        Ok(fs::read(self.file.as_ref().ok_or("it writes no file")?)?)
    }

    fn complaint(&mut self, text: &str) -> crate::Error {
        let ended = self.child.try_wait().ok().flatten();
        let end = Vec::from(self.said.lock().unwrap_or_else(PoisonError::into_inner).clone());
        let how = ended.map_or("it still runs".to_owned(), |status| status.to_string());
        format!("{text:?} was not shown ({how}):\n{}", end.join("\n")).into()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let id = Pid::from_child(&self.child);
        // One that is asked to end takes with it what it started, also what has a group of its own.
        let _ = kill_process(id, Signal::TERM);
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begun.elapsed() < PARTING {
            thread::sleep(Duration::from_millis(2));
        }
        let _ = kill_process_group(id, Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Tells whenever the file is there anew, on a thread of its own, which ends with the directory.
fn watch(directory: &Path, tell: mpsc::UnboundedSender<Seen>) -> Result<()> {
    let mut inotify = Inotify::init()?;
    // Some tools write into the file instead of replacing it.
    let written = WatchMask::MODIFY | WatchMask::CLOSE_WRITE;
    inotify.watches().add(directory, WatchMask::MOVED_TO | written | WatchMask::DELETE_SELF)?;
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        // One that was still open when it was renamed is closed under its new name, which is no second write.
        let mut modified = false;
        while let Ok(events) = inotify.read_events_blocking(&mut buffer) {
            let at = Instant::now();
            for event in events {
                if event.mask.intersects(EventMask::DELETE_SELF | EventMask::IGNORED) {
                    return;
                }
                if event.name != Some(FILE.as_ref()) {
                    continue;
                }
                let replaced = event.mask.contains(EventMask::MOVED_TO);
                let rewritten = event.mask.contains(EventMask::CLOSE_WRITE) && modified;
                modified = event.mask.contains(EventMask::MODIFY);
                if (replaced || rewritten) && tell.send(Seen { at, line: None }).is_err() {
                    return;
                }
            }
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// One rewrite is seen once, however it is done, and other files are not seen.
    #[tokio::test]
    async fn every_rewrite_is_seen_once() {
        let directory = tempfile::tempdir().unwrap();
        let (file, other) = (directory.path().join(FILE), directory.path().join("other"));
        let (tell, mut seen) = mpsc::unbounded_channel();
        watch(directory.path(), tell).unwrap();
        // Renamed while it is open, as the program does; then written in place.
        let mut open = fs::File::create(&other).unwrap();
        open.write_all(b"1").unwrap();
        fs::rename(&other, &file).unwrap();
        drop(open);
        fs::write(&file, "2").unwrap();
        fs::write(&other, "3").unwrap();
        fs::rename(&other, &file).unwrap();
        // The watch ends with its directory, and everything before is told.
        drop(directory);
        let mut count = 0;
        while seen.recv().await.is_some() {
            count += 1;
        }
        assert_eq!(count, 3);
    }
}
