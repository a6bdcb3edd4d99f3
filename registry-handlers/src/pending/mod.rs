//! *Written* and *applied* are two facts: who has not been told of which file yet.

mod disk;
#[cfg(feature = "fuzzing")]
pub(crate) use disk::file as fuzzed_file;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::error::{Error, Result};
use crate::news::News;

/// Remembers which notifications are still to be delivered, for which files.
///
/// With a directory it outlives the program: a file that was replaced just before a crash is told of after the next
/// start. The mark is on the disk *before* the file is replaced and goes when the notification has succeeded, so
/// a notification may be repeated after a crash and is never lost.
///
/// Keep one for the life of the program and hand it to every new [`Handlers`](crate::Handlers): what was pending under the
/// old configuration is delivered under the new one. A clone is a handle to the same. Two programs must not share a
/// directory if they write the same file.
#[derive(Clone)]
pub struct Pending {
    inner: Arc<Inner>,
}

struct Inner {
    directory: Option<PathBuf>,
    state: Mutex<State>,
    /// One writer at a time, so that an older state never replaces a newer one. Never held together with `state` for
    /// longer than it takes to copy some names: a disk may hang.
    disk: Mutex<()>,
    disk_failed: AtomicBool,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<PathBuf, FileMarks>,
    writes: u64,
}

#[derive(Default)]
struct FileMarks {
    /// What is told; `None` until this run has seen the members.
    news: Option<Arc<News>>,
    /// By the name of the notification.
    marks: BTreeMap<String, Mark>,
}

/// Both can be true: while one write is being told of, the next one may be under way, and must not lose its mark to it.
#[derive(Clone, Copy, Default, PartialEq)]
struct Mark {
    /// The file is about to be replaced.
    intended: bool,
    /// The file was replaced by this write, and the notification has not succeeded since.
    due: Option<u64>,
}

impl Mark {
    fn due(write: u64) -> Self {
        Self { intended: false, due: Some(write) }
    }
}

/// What one notification is to tell: each file with the write that it is about.
pub(crate) type Due = BTreeMap<PathBuf, (u64, Arc<News>)>;

impl Pending {
    /// Forgets with the program.
    pub fn in_memory() -> Self {
        Self::new(None)
    }

    /// Remembers in this directory, which is made (for its owner alone) if it is not there. It blocks shortly.
    ///
    /// # Errors
    /// `Config` when the directory cannot be made or written.
    pub fn in_directory(directory: impl Into<PathBuf>) -> Result<Self> {
        let directory = directory.into();
        match disk::prepare(&directory) {
            Ok(()) => Ok(Self::new(Some(directory))),
            Err(error) => {
                Err(Error::config(format!("cannot use the state directory {}: {error}", directory.display())))
            }
        }
    }

    fn new(directory: Option<PathBuf>) -> Self {
        let inner = Inner {
            directory,
            state: Mutex::default(),
            disk: Mutex::default(),
            disk_failed: AtomicBool::new(false),
            changed: watch::Sender::new(()),
        };
        Self { inner: Arc::new(inner) }
    }

    /// First contact with a file: what an earlier run has left to these notifications. Marks of others are dropped. Blocks.
    pub(crate) fn adopt(&self, dest: &Path, notify: &[String]) {
        let known = self.state().files.contains_key(dest);
        let left = match &self.inner.directory {
            Some(directory) if !known => disk::load(directory, dest, notify),
            _ => BTreeSet::new(),
        };
        {
            let mut state = self.state();
            let State { files, writes } = &mut *state;
            let file = files.entry(dest.to_owned()).or_default();
            file.marks.retain(|name, _| notify.contains(name));
            for name in left.into_iter().filter(|name| notify.contains(name)) {
                tracing::info!(file = %dest.display(), notify = name, "an earlier run has left this to be told");
                *writes += 1;
                file.marks.insert(name, Mark::due(*writes));
            }
        }
        self.save(dest);
    }

    /// The file is about to be replaced. Blocks.
    pub(crate) fn intend(&self, dest: &Path, notify: &[String]) {
        if notify.is_empty() {
            return;
        }
        {
            let mut state = self.state();
            let marks = &mut state.files.entry(dest.to_owned()).or_default().marks;
            for name in notify {
                marks.entry(name.clone()).or_default().intended = true;
            }
        }
        self.save(dest);
    }

    /// The file was replaced.
    pub(crate) fn commit(&self, dest: &Path, notify: &[String]) {
        {
            let mut state = self.state();
            let State { files, writes } = &mut *state;
            *writes += 1;
            let marks = &mut files.entry(dest.to_owned()).or_default().marks;
            marks.extend(notify.iter().map(|name| (name.clone(), Mark::due(*writes))));
        }
        self.inner.changed.send_replace(());
    }

    /// The file was not replaced after all. Blocks.
    pub(crate) fn abandon(&self, dest: &Path) {
        if let Some(file) = self.state().files.get_mut(dest) {
            file.marks.retain(|_, mark| {
                mark.intended = false;
                mark.due.is_some()
            });
        }
        self.save(dest);
    }

    /// What there is to be told of a file.
    pub(crate) fn inform(&self, dest: &Path, news: Arc<News>) {
        self.state().files.entry(dest.to_owned()).or_default().news = Some(news);
        self.inner.changed.send_replace(());
    }

    /// What this notification has to tell now.
    pub(crate) fn due(&self, notify: &str) -> Due {
        let state = self.state();
        let due = state.files.iter().filter_map(|(dest, file)| match (file.marks.get(notify)?.due, &file.news) {
            (Some(write), Some(news)) => Some((dest.clone(), (write, Arc::clone(news)))),
            _ => None,
        });
        due.collect()
    }

    /// The files of which this notification has still to tell, whether it can now or not.
    pub(crate) fn waiting(&self, notify: &str) -> Vec<PathBuf> {
        let state = self.state();
        let due = state.files.iter().filter(|(_, file)| file.marks.get(notify).is_some_and(|mark| mark.due.is_some()));
        due.map(|(dest, _)| dest.clone()).collect()
    }

    /// It was told, up to these writes: newer ones stay. Blocks.
    pub(crate) fn applied(&self, notify: &str, told: &Due) {
        {
            let mut state = self.state();
            for (dest, (write, _)) in told {
                if let Some(file) = state.files.get_mut(dest)
                    && let Some(mark) = file.marks.get_mut(notify)
                    && mark.due == Some(*write)
                {
                    mark.due = None;
                    if !mark.intended {
                        file.marks.remove(notify);
                    }
                }
            }
        }
        for dest in told.keys() {
            self.save(dest);
        }
    }

    /// Whoever reads the file starts after it was written: nothing is left to be told of it. Blocks.
    pub(crate) fn forget(&self, dest: &Path, notify: &str) {
        if let Some(file) = self.state().files.get_mut(dest) {
            file.marks.remove(notify);
        }
        self.save(dest);
    }

    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.inner.changed.subscribe()
    }

    /// Writes down what is pending for a file. A failure is told once and changes nothing else: the file itself is
    /// more important than the memory of it.
    fn save(&self, dest: &Path) {
        let Some(directory) = &self.inner.directory else { return };
        let _one = self.inner.disk.lock().unwrap_or_else(PoisonError::into_inner);
        let names = self.state().files.get(dest).map(|file| file.marks.keys().cloned().collect()).unwrap_or_default();
        let saved: io::Result<()> = disk::save(directory, dest, &names);
        let failed = saved.is_err();
        if let Err(error) = saved
            && !self.inner.disk_failed.load(Ordering::Relaxed)
        {
            let directory = directory.display();
            tracing::warn!(%directory, %error, "cannot write down what is pending: a crash may lose a notification");
        }
        self.inner.disk_failed.store(failed, Ordering::Relaxed);
    }

    /// Every critical section leaves a sound state behind, whatever panics after it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("directory", &self.inner.directory).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEST: &str = "/run/app/members.json";

    fn due(pending: &Pending, name: &str) -> bool {
        pending.inform(Path::new(DEST), Arc::default());
        !pending.due(name).is_empty()
    }

    #[test]
    fn what_is_told_while_the_next_write_begins_leaves_that_one_marked() {
        let directory = tempfile::tempdir().unwrap();
        let (dest, names) = (Path::new(DEST), ["a".to_owned()]);
        let pending = Pending::in_directory(directory.path()).unwrap();
        pending.intend(dest, &names);
        pending.commit(dest, &names);
        pending.inform(dest, Arc::default());
        let told = pending.due("a");
        pending.intend(dest, &names);
        pending.applied("a", &told);
        assert!(pending.waiting("a").is_empty());
        // The crash comes after the file was replaced and before that could be noted.
        let again = Pending::in_directory(directory.path()).unwrap();
        again.adopt(dest, &names);
        assert!(due(&again, "a"), "the second write would never be told of");
        // Given up instead, nothing is left to be told of.
        pending.abandon(dest);
        let again = Pending::in_directory(directory.path()).unwrap();
        again.adopt(dest, &names);
        assert!(!due(&again, "a"));
    }

    #[test]
    fn a_crash_at_every_step_loses_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let names = ["a".to_owned(), "b".to_owned()];
        let dest = Path::new(DEST);
        let start = || {
            let pending = Pending::in_directory(directory.path()).unwrap();
            pending.adopt(dest, &names);
            pending
        };
        assert!(!due(&start(), "a"));
        // The write failed.
        let pending = start();
        pending.intend(dest, &names);
        pending.abandon(dest);
        assert!(!due(&start(), "a"));
        // Before the rename: told needlessly, which is harmless.
        start().intend(dest, &names);
        assert!(due(&start(), "a") && due(&start(), "b"));
        // One of two succeeded.
        let pending = start();
        pending.inform(dest, Arc::default());
        pending.applied("a", &pending.due("a"));
        assert!(!due(&start(), "a") && due(&start(), "b"));
        let pending = start();
        pending.inform(dest, Arc::default());
        pending.applied("b", &pending.due("b"));
        assert!(!due(&start(), "b"));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nothing pending leaves no file");
    }

    #[test]
    fn what_changes_while_it_is_told_stays_pending() {
        let pending = Pending::in_memory();
        let (dest, names) = (Path::new(DEST), ["a".to_owned()]);
        pending.inform(dest, Arc::default());
        pending.commit(dest, &names);
        let told = pending.due("a");
        pending.commit(dest, &names);
        pending.applied("a", &told);
        assert_eq!(pending.due("a").len(), 1);
        pending.applied("a", &pending.due("a"));
        assert!(pending.due("a").is_empty());
        pending.intend(dest, &names);
        assert!(pending.due("a").is_empty(), "an intention is not told");
        pending.abandon(dest);
        pending.commit(dest, &[]);
        assert!(pending.due("a").is_empty());
    }

    #[test]
    fn a_damaged_memory_tells_everybody() {
        let directory = tempfile::tempdir().unwrap();
        let names = ["a".to_owned()];
        Pending::in_directory(directory.path()).unwrap().intend(Path::new(DEST), &names);
        let file = std::fs::read_dir(directory.path()).unwrap().next().unwrap().unwrap().path();
        std::fs::write(file, "{").unwrap();
        let pending = Pending::in_directory(directory.path()).unwrap();
        pending.adopt(Path::new(DEST), &names);
        assert!(due(&pending, "a"));
        assert!(!due(&pending, "b"));
    }

    #[test]
    fn what_a_killed_run_has_left_half_written_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let left = [".pending-0123456789abcdef.json.cluster-control.aB3dE6gH", ".probe.cluster-control.00000000"];
        let foreign = [".pending.json.cluster-control.short", "notes.cluster-control.aB3dE6gH"];
        for name in left.into_iter().chain(foreign) {
            std::fs::write(directory.path().join(name), "{").unwrap();
        }
        let writing = crate::write::Temporary::create(directory.path(), "x".as_ref()).unwrap();
        Pending::in_directory(directory.path()).unwrap();
        let mut names: Vec<_> =
            std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.retain(|name| !foreign.iter().any(|foreign| name == foreign));
        assert_eq!(names.len(), 1, "somebody is writing one of them: {names:?}");
        drop(writing);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), foreign.len());
    }
}
