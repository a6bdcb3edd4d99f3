//! The way in: files and notifications, checked as a whole, then prepared and followed.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use processes::{Processes, Signal};
use tokio::sync::watch;

use crate::error::{Error, Result};
use crate::file::ManagedFile;
use crate::follow::{follow, tell};
use crate::log::Log;
use crate::membership::Memberships;
use crate::notify::Notifier;
use crate::pending::Pending;
use crate::pipeline::{Followed, Pipeline};
use crate::spec::{FileSpec, NotifySpec};
use crate::status::{FileStatus, NotifyStatus};

/// How a signal reaches the child. An error (there is no child just now) is tried again.
pub type SignalChild = Arc<dyn Fn(Signal) -> Result<(), String> + Send + Sync>;

/// What files and notifications need from the program around them.
#[derive(Clone)]
#[non_exhaustive]
pub struct Setup {
    /// Starts checks and commands.
    pub processes: Processes,
    /// Who is still to be told, across a change of the configuration and across a crash.
    pub pending: Pending,
    /// Where signals go; without it, a notification of kind `signal` is refused.
    pub child: Option<SignalChild>,
    /// Notifications wait until this is true: a server that is starting would miss them.
    pub ready: watch::Receiver<bool>,
    /// Environment variables that commands do not inherit: credentials.
    pub hidden: Vec<OsString>,
}

impl Setup {
    /// No child, ready at once, everything inherited.
    pub fn new(processes: Processes, pending: Pending) -> Self {
        // The value stays readable when its sender is gone.
        Self { processes, pending, child: None, ready: watch::channel(true).1, hidden: Vec::new() }
    }
}

/// All files and notifications of one configuration: valid, and not running yet.
pub struct Handlers {
    files: Vec<(ManagedFile, watch::Sender<FileStatus>)>,
    notifiers: Vec<Notifier>,
    setup: Setup,
}

/// What [`Handlers::prepare`] did with one file.
#[derive(Debug)]
#[non_exhaustive]
pub struct Prepared {
    /// The file's absolute path.
    pub dest: PathBuf,
    /// What became of it.
    pub result: Result<Outcome>,
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its content was replaced.
    Written,
    /// It holds the right content already.
    Same,
    /// It shows older members, or is not there, because a guard says so. The text says why.
    Held(String),
    /// One of its clusters was not listed yet.
    Waiting,
}

impl Handlers {
    /// Checks everything: paths, owners, names, templates. Nothing is written or started, so this is also how a
    /// configuration is checked. It reads the templates and blocks for that long.
    ///
    /// # Errors
    /// `Config`, naming the file or notification and what to correct.
    pub fn new(files: &[FileSpec], notifications: &[NotifySpec], setup: Setup) -> Result<Self> {
        let mut known = BTreeSet::new();
        for spec in notifications {
            if !known.insert(spec.name.as_str()) {
                return Err(Error::config(format!("there are two notifications with the name {:?}", spec.name)));
            }
        }
        let mut places = BTreeSet::new();
        let mut checked = Vec::new();
        for spec in files {
            if let Some(name) = spec.notify.iter().find(|name| !known.contains(name.as_str())) {
                let names = if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.iter().copied().collect::<Vec<_>>().join(", ")
                };
                let error = Error::config(format!("there is no notification {name:?} (there is: {names})"));
                return Err(error.about(&spec.dest));
            }
            let file = ManagedFile::new(spec, &setup.pending)?;
            if !places.insert(file.dest().to_owned()) {
                return Err(Error::config("is written by two entries").about(&spec.dest));
            }
            let status = FileStatus { dest: file.dest().to_owned(), ..FileStatus::default() };
            checked.push((file, watch::Sender::new(status)));
        }
        let notifiers = notifications.iter().map(|spec| Notifier::new(spec, &setup)).collect::<Result<_>>()?;
        Ok(Self { files: checked, notifiers, setup })
    }

    /// The names of all clusters that are needed.
    pub fn clusters(&self) -> BTreeSet<String> {
        self.files.iter().flat_map(|(file, _)| &file.watch).map(ToString::to_string).collect()
    }

    /// Writes every file once, before those who read them start: what `clusterprepare` does, and `run` before its child.
    /// Each file is tried once; those that fail or wait are taken up again after [`start`](Self::start).
    ///
    /// What is written here is the *first* rendering of which `on_first` speaks. Leave this out when the readers run
    /// already: then every change is told.
    ///
    /// Cancelled, each file is either whole and old or whole and new.
    pub async fn prepare(&mut self, memberships: &Memberships) -> Vec<Prepared> {
        let clusters = memberships.subscribe().borrow().clone();
        let (skip, silent) = self.not_told_first();
        let mut all = Vec::new();
        for (file, status) in &mut self.files {
            let dest = file.dest().to_owned();
            let Some(selected) = file.select(&clusters) else {
                all.push(Prepared { dest, result: Ok(Outcome::Waiting) });
                continue;
            };
            let tell_now: Vec<_> = file.notify().iter().filter(|name| !skip.contains(*name)).cloned().collect();
            let result = file.update(selected, &tell_now, &self.setup.processes).await;
            let outcome = match &result {
                Err(error) => Err(error.clone()),
                Ok(report) => Ok(match (&report.held, &report.written) {
                    (Some(held), _) => Outcome::Held(held.clone()),
                    (None, Some(_)) => Outcome::Written,
                    (None, None) => Outcome::Same,
                }),
            };
            status.send_modify(|status| {
                let mut log = Log::new(status);
                tell(status, result, false, &mut log);
            });
            file.forget(&silent).await;
            all.push(Prepared { dest, result: outcome });
        }
        all
    }

    /// Those whose first rendering is not told, and among them those who cannot have missed an earlier one either: the
    /// child starts after the files are written.
    fn not_told_first(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let skip = self.notifiers.iter().filter(|notifier| !notifier.spec().tells_first());
        let silent = skip.clone().filter(|notifier| notifier.is_signal());
        let name = |notifier: &Notifier| notifier.spec().name.clone();
        (skip.map(name).collect(), silent.map(name).collect())
    }

    /// The content that each file would have, without guards and without writing anything.
    pub async fn preview(&self, memberships: &Memberships) -> Vec<(PathBuf, Result<Option<Vec<u8>>>)> {
        let clusters = memberships.subscribe().borrow().clone();
        let mut all = Vec::new();
        for (file, _) in &self.files {
            let content = match file.select(&clusters) {
                Some(selected) => file.preview(selected).await.map(Some),
                None => Ok(None),
            };
            all.push((file.dest().to_owned(), content));
        }
        all
    }

    /// Follows the memberships from now on, one task for each file and one for each notification, on the current runtime.
    pub fn start(self, memberships: &Memberships) -> Pipeline {
        let Setup { processes, pending, ready, .. } = self.setup;
        let mut pipeline = Pipeline::new(pending.clone(), memberships.subscribe());
        let mut served: BTreeMap<String, Vec<watch::Receiver<FileStatus>>> = BTreeMap::new();
        for (file, status) in self.files {
            for name in file.notify() {
                served.entry(name.clone()).or_default().push(status.subscribe());
            }
            let followed = Followed { status: status.subscribe(), watch: file.watch.clone(), closer: file.closer() };
            pipeline.add_file(followed, follow(file, memberships.subscribe(), status, processes.clone()));
        }
        for notifier in self.notifiers {
            let name = notifier.spec().name.clone();
            let files = served.remove(&name).unwrap_or_default();
            let status = watch::Sender::new(NotifyStatus { name, ..NotifyStatus::default() });
            let receiver = status.subscribe();
            let task = notifier.run(pending.clone(), ready.clone(), files, status, processes.clone());
            pipeline.add_notifier(receiver, task);
        }
        pipeline
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup")
            .field("pending", &self.pending)
            .field("child", &self.child.is_some())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: Vec<_> = self.files.iter().map(|(file, _)| file.dest()).collect();
        f.debug_struct("Handlers").field("files", &files).finish_non_exhaustive()
    }
}
