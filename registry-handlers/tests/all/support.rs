//! What the tests share: members, a place for files, and waiting for a condition instead of sleeping.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use processes::Processes;
use registry_core::{Bytes, Entry, Index, Name, Snapshot};
use registry_handlers::{FileKind, FileSpec, Handlers, Memberships, NotifySpec, Pending, Pipeline, Retry, Setup};
use tokio::time::{Instant, sleep, timeout};

/// Far longer than anything here takes, on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn members(names: &[&str]) -> Snapshot {
    let entry = |name: &&str| Entry {
        name: Name::new(name).expect("a valid name"),
        value: Bytes::from_static(b"1"),
        index: Index::new(1, 1),
    };
    Snapshot { entries: names.iter().map(entry).collect(), index: Index::new(1, 7) }
}

/// A directory, the members, and what runs.
pub(crate) struct Scene {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) memberships: Memberships,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), memberships: Memberships::new() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// A file of names with this notification.
    pub(crate) fn file(&self, name: &str, notify: &[&str]) -> FileSpec {
        let mut spec = FileSpec::new(FileKind::Json, ["db"], self.path(name));
        spec.notify = notify.iter().map(ToString::to_string).collect();
        spec
    }

    pub(crate) fn list(&self, names: &[&str]) {
        self.memberships.replace("db", &members(names));
    }

    pub(crate) fn start(&self, files: &[FileSpec], notifications: &[NotifySpec]) -> Pipeline {
        Handlers::new(files, notifications, setup()).unwrap().start(&self.memberships)
    }
}

pub(crate) fn setup() -> Setup {
    Setup::new(Processes::start().unwrap(), Pending::in_memory())
}

/// A command of the shell, tried again quickly.
pub(crate) fn shell(name: &str, script: &str) -> NotifySpec {
    let mut spec = NotifySpec::exec(name, ["sh", "-c", script]);
    spec.retry = Retry::new(Duration::from_millis(20), Duration::from_millis(50));
    spec
}

/// Until it holds; what is seen instead is shown.
pub(crate) async fn until<T: std::fmt::Debug>(what: &str, mut look: impl FnMut() -> T, good: impl Fn(&T) -> bool) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = look();
        if good(&seen) {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}; there is {seen:?}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Until every file is written and everybody told.
pub(crate) async fn settled(pipeline: &Pipeline) {
    let settled = until("everything to be applied", || pipeline.status(), registry_handlers::Status::is_settled);
    timeout(PATIENCE * 2, settled).await.unwrap();
}

/// Names without those of directories above.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
