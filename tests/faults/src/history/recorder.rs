//! Writing histories and reading them.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::time::{ClockId, clock_gettime};

use super::{Line, What};

/// Microseconds of the machine's monotonic clock, which all processes share.
pub fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000 + now.tv_nsec.unsigned_abs() / 1000
}

/// A history that is being written: to a file, and kept in memory to be checked at the end.
#[derive(Clone, Debug)]
pub struct History {
    path: Arc<Path>,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    file: BufWriter<File>,
    lines: Vec<Line>,
    /// The histories of processes that take part in this one.
    parts: Vec<PathBuf>,
    /// Each line is in the file at once: this process may be killed.
    mortal: bool,
}

/// One who writes into a history.
#[derive(Clone, Debug)]
pub struct Recorder {
    history: History,
    who: Arc<str>,
}

impl History {
    /// Begins a new file; one that is there is replaced.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(path: impl Into<PathBuf>) -> std::io::Result<Self> {
        let path: PathBuf = path.into();
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let file = BufWriter::new(File::create(&path)?);
        Ok(Self::of(path, file, false))
    }

    /// Goes on in a file, of a process that may be killed at any moment.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn append(path: impl Into<PathBuf>) -> std::io::Result<Self> {
        let path: PathBuf = path.into();
        let mut file = BufWriter::new(File::options().create(true).append(true).open(&path)?);
        // The one before may have been killed in the middle of a line.
        file.write_all(b"\n")?;
        Ok(Self::of(path, file, true))
    }

    fn of(path: PathBuf, file: BufWriter<File>, mortal: bool) -> Self {
        let inner = Inner { file, lines: Vec::new(), parts: Vec::new(), mortal };
        Self { path: path.into(), inner: Arc::new(Mutex::new(inner)) }
    }

    /// Makes the history of a process a part of this one. A file that is there is of an earlier run, unless it was added
    /// before.
    pub(crate) fn add(&self, part: &Path) {
        let mut inner = self.lock();
        if !inner.parts.iter().any(|known| known == part) {
            let _ = fs::remove_file(part);
            inner.parts.push(part.to_owned());
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Somebody who writes into it.
    pub fn recorder(&self, who: impl Into<Arc<str>>) -> Recorder {
        Recorder { history: self.clone(), who: who.into() }
    }

    /// Everything so far, in the order of time.
    ///
    /// # Errors
    /// When the history of a process cannot be read.
    pub fn lines(&self) -> std::io::Result<Vec<Line>> {
        let inner = self.lock();
        let mut lines = inner.lines.clone();
        for part in &inner.parts {
            // One that has not begun to write has no file.
            let text = fs::read_to_string(part).unwrap_or_default();
            // What a kill has cut off in the middle was not said.
            lines.extend(text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok()));
        }
        lines.sort_by_key(|line| line.at);
        Ok(lines)
    }

    /// Puts everything into the one file, and returns it.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn finish(&self) -> std::io::Result<Vec<Line>> {
        let lines = self.lines()?;
        // Under another name, for somebody may still write into the old file.
        let whole = self.path.with_extension("whole");
        let mut file = BufWriter::new(File::create(&whole)?);
        for line in &lines {
            serde_json::to_writer(&mut file, line)?;
            file.write_all(b"\n")?;
        }
        file.flush()?;
        fs::rename(&whole, &self.path)?;
        for part in std::mem::take(&mut self.lock().parts) {
            let _ = fs::remove_file(part);
        }
        Ok(lines)
    }

    /// Looks at what was written so far, beginning with line `from`.
    pub fn look<T>(&self, from: usize, look: impl FnOnce(&[Line]) -> T) -> T {
        let inner = self.lock();
        look(inner.lines.get(from..).unwrap_or_default())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorder {
    /// Writes what happens now. Returns when that is.
    ///
    /// # Panics
    /// When the file cannot be written: a history with a hole proves nothing.
    pub fn record(&self, what: What) -> u64 {
        let mut inner = self.history.lock();
        // Taken under the lock, so that the lines are in the order of their times.
        let at = now();
        let line = Line { at, who: self.who.to_string(), what };
        serde_json::to_writer(&mut inner.file, &line).expect("the history can be written");
        inner.file.write_all(b"\n").expect("the history can be written");
        if inner.mortal {
            inner.file.flush().expect("the history can be written");
        } else {
            inner.lines.push(line);
        }
        at
    }

    /// Who writes here.
    pub fn who(&self) -> &str {
        &self.who
    }

    /// The history that is written.
    pub fn history(&self) -> &History {
        &self.history
    }
}

/// Reads a history that was written before.
///
/// # Errors
/// When the file cannot be read, or a line is not one of a history; the message names the line.
pub fn read(path: &Path) -> Result<Vec<Line>, String> {
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let parse = |(number, line): (usize, std::io::Result<String>)| {
        let line = line.map_err(|error| error.to_string())?;
        serde_json::from_str(&line).map_err(|error| format!("{}:{}: {error}", path.display(), number + 1))
    };
    BufReader::new(file).lines().enumerate().map(parse).collect()
}
