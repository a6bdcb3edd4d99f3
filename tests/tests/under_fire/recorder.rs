//! Every version of many files, as somebody sees them who looks all the time.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(10);

/// What a file was, one after the other. A file that is written again with the same content is another version.
pub(crate) type Versions = BTreeMap<PathBuf, Vec<String>>;

#[derive(Default)]
struct Shared {
    versions: Versions,
    over: bool,
}

/// Looks until it is dropped.
pub(crate) struct Recorder {
    shared: Arc<Mutex<Shared>>,
    thread: Option<JoinHandle<()>>,
}

impl Recorder {
    /// The files must be there.
    pub(crate) fn start(paths: Vec<PathBuf>) -> Self {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let own = Arc::clone(&shared);
        let mut marks = BTreeMap::new();
        look(&paths, &mut marks, &own);
        let thread = thread::spawn(move || {
            while !own.lock().unwrap_or_else(PoisonError::into_inner).over {
                look(&paths, &mut marks, &own);
                thread::sleep(PAUSE);
            }
        });
        Self { shared, thread: Some(thread) }
    }

    /// All versions so far, the first one included.
    pub(crate) fn versions(&self) -> Versions {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).versions.clone()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).over = true;
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || matches!(ended, Some(Ok(()))), "the recorder has failed");
    }
}

fn look(paths: &[PathBuf], marks: &mut BTreeMap<PathBuf, (u64, i64, i64)>, shared: &Mutex<Shared>) {
    for path in paths {
        // A file that is gone is a version as well, and no promised one.
        let mark = fs::metadata(path).map_or((0, 0, 0), |about| (about.ino(), about.mtime(), about.mtime_nsec()));
        if marks.insert(path.clone(), mark) != Some(mark) {
            let content = fs::read_to_string(path).unwrap_or_else(|error| format!("cannot be read: {error}"));
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            shared.versions.entry(path.clone()).or_default().push(content);
        }
    }
}
