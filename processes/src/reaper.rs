//! The one that waits.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::{fmt, io, thread};

use tokio::runtime::{Builder, Handle};
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

use crate::table::Table;

/// The handle to the one place that starts processes and waits for them. Cheap to clone.
#[derive(Clone)]
pub struct Processes {
    pub(crate) table: Arc<Table>,
    /// Where pipes are read and written: the reaper's own thread.
    pub(crate) runtime: Handle,
    /// What commands of this handle find changed in the environment that they inherit; `None` removes a variable.
    pub(crate) environment: Arc<BTreeMap<OsString, Option<OsString>>>,
}

/// There can be only one that waits, in a process too.
static STARTED: Mutex<Option<Processes>> = Mutex::new(None);

impl Processes {
    /// Start waiting, and adopt the orphans among the descendants of this process from now on (PID 1 adopts them anyway;
    /// everybody else becomes their `PR_SET_CHILD_SUBREAPER`).
    ///
    /// The first call starts a thread that lives as long as the program; every later call gives a handle to the same. The
    /// thread has a runtime of its own: neither does a command that floods its output slow the caller's tasks, nor does
    /// waiting end with the runtime on which it began. So this may be called anywhere, in or outside of a runtime.
    ///
    /// Children of this process that were not started here are reaped too and their results thrown away.
    ///
    /// # Errors
    ///
    /// When the system refuses a thread, a descriptor or the role of the subreaper.
    pub fn start() -> io::Result<Self> {
        let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(processes) = &*started {
            return Ok(processes.clone());
        }
        adopt_orphans()?;
        let processes = start_reaper()?;
        *started = Some(processes.clone());
        Ok(processes)
    }

    /// A handle to the same, whose commands inherit a changed environment: these variables are set, or removed for `None`.
    /// The changes of an earlier call are forgotten, what a [`Command`](crate::Command) says itself wins, and one that
    /// [inherits nothing](crate::Command::clear_env) sees none of it.
    ///
    /// For a program that holds secrets in its own environment: it says once what commands must not see.
    pub fn with_environment(
        &self,
        changes: impl IntoIterator<Item = (impl Into<OsString>, Option<impl Into<OsString>>)>,
    ) -> Self {
        let changes = changes.into_iter().map(|(name, value)| (name.into(), value.map(Into::into)));
        Self { environment: Arc::new(changes.collect()), ..self.clone() }
    }

    /// How many orphans, and other children that were not started here, have been reaped so far.
    pub fn adopted(&self) -> u64 {
        self.table.adopted()
    }
}

impl fmt::Debug for Processes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Processes").finish_non_exhaustive()
    }
}

fn adopt_orphans() -> io::Result<()> {
    let this = rustix::process::getpid();
    if !this.is_init() {
        rustix::process::set_child_subreaper(Some(this))?;
    }
    Ok(())
}

/// The runtime is built on the thread that runs it, so that it is never dropped on a thread of the caller's runtime.
fn start_reaper() -> io::Result<Processes> {
    let (ready, started) = mpsc::sync_channel(1);
    thread::Builder::new().name("processes".to_owned()).spawn(move || {
        let runtime = match Builder::new_current_thread().enable_io().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(ready.send(Err(error))),
        };
        runtime.block_on(async {
            match signal(SignalKind::child()) {
                Ok(ended) => {
                    let processes = Processes {
                        table: Arc::new(Table::new()),
                        runtime: Handle::current(),
                        environment: Arc::default(),
                    };
                    drop(ready.send(Ok(processes.clone())));
                    reap(&processes.table, ended).await;
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        });
    })?;
    started.recv().unwrap_or_else(|_| Err(io::Error::other("the thread that waits for processes ended at its start")))
}

/// One signal may stand for many processes, and some may have ended before the first one was listened for.
async fn reap(table: &Table, mut ended: Stream) {
    loop {
        table.reap();
        if ended.recv().await.is_none() {
            return;
        }
    }
}
