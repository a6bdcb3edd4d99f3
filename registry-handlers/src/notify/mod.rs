//! The task of one notification: collects what several files have to tell, and tells it until it is heard.

mod exec;
#[cfg(feature = "http")]
mod http;

use std::time::{Duration, SystemTime};

use processes::{Processes, Signal};
use registry_core::Backoff;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until, timeout};

use crate::error::{Error, Result};
use crate::handlers::{Setup, SignalChild};
use crate::news::Message;
use crate::pending::{Due, Pending};
use crate::seldom::Seldom;
use crate::spec::{NotifyKind, NotifySpec};
use crate::status::{FileStatus, NotifyStatus};
use exec::Exec;

/// How long to wait after a file was written before looking whether more is about to be.
const SETTLE: Duration = Duration::from_millis(20);
/// The longest wait for files that change all the time.
const SETTLE_MAX: Duration = Duration::from_secs(1);

/// One notification.
pub(crate) struct Notifier {
    spec: NotifySpec,
    action: Action,
}

enum Action {
    Signal(Signal, SignalChild),
    Exec(Exec),
    #[cfg(feature = "http")]
    Http(http::Http),
}

impl Notifier {
    /// # Errors
    /// `Config`.
    pub(crate) fn new(spec: &NotifySpec, setup: &Setup) -> Result<Self> {
        let action =
            Action::new(spec, setup).map_err(|what| Error::config(format!("notification {:?}: {what}", spec.name)))?;
        Ok(Self { spec: spec.clone(), action })
    }

    pub(crate) fn spec(&self) -> &NotifySpec {
        &self.spec
    }

    pub(crate) fn is_signal(&self) -> bool {
        matches!(self.action, Action::Signal(..))
    }

    /// Runs until it is stopped. One attempt at a time; a failure is followed by another attempt, without limit. Whatever
    /// has changed by then is part of it, so a burst is told once.
    pub(crate) async fn run(
        self,
        pending: Pending,
        mut ready: watch::Receiver<bool>,
        mut files: Vec<watch::Receiver<FileStatus>>,
        status: watch::Sender<NotifyStatus>,
        processes: Processes,
    ) {
        let mut backoff = Backoff::new(self.spec.retry.base, self.spec.retry.max);
        let mut earliest = Instant::now();
        let mut notified = Seldom::default();
        loop {
            loop {
                tokio::select! {
                    () = self.wait_for_work(&pending) => break,
                    () = notified.wait() => say_notified(&self.spec.name, 0, notified.due()),
                }
            }
            // The one who says that the child is ready is gone without having said so: it never will be.
            if ready.wait_for(|ready| *ready).await.is_err() {
                return;
            }
            sleep_until(earliest).await;
            settle(&mut files).await;
            let due = pending.due(&self.spec.name);
            if due.is_empty() {
                continue;
            }
            let started = Instant::now();
            earliest = started + self.spec.min_interval;
            let result = self.attempt(&due, &processes).await;
            let failed = result.is_err();
            status.send_modify(|status| tell(status, result, &mut notified));
            if failed {
                self.pause(&pending, &due, started, &mut backoff).await;
            } else {
                backoff.reset();
                let (pending, name) = (pending.clone(), self.spec.name.clone());
                // On a thread that may block: a disk may hang. It fails only by a panic, and then tells once more.
                let _ = spawn_blocking(move || pending.applied(&name, &due)).await;
            }
        }
    }

    async fn wait_for_work(&self, pending: &Pending) {
        let mut changes = pending.changes();
        // It cannot end while `pending` is here.
        while pending.due(&self.spec.name).is_empty() && changes.changed().await.is_ok() {}
    }

    /// After a failure. New content may be what mends it, so a newer write shortens the wait.
    async fn pause(&self, pending: &Pending, tried: &Due, started: Instant, backoff: &mut Backoff) {
        let mut changes = pending.changes();
        let newer = async { while is_same(&pending.due(&self.spec.name), tried) && changes.changed().await.is_ok() {} };
        if timeout(backoff.next_wait(), newer).await.is_ok() {
            backoff.reset();
            sleep_until(started + self.spec.retry.base).await;
        }
    }

    async fn attempt(&self, due: &Due, processes: &Processes) -> Result<(), String> {
        let message = Message::new(due.iter().map(|(dest, (_, news))| (dest, &**news)));
        match &self.action {
            Action::Signal(signal, child) => child(*signal),
            Action::Exec(exec) => exec.run(&message, self.spec.timeout, processes).await,
            #[cfg(feature = "http")]
            Action::Http(http) => http.post(&message, self.spec.timeout).await,
        }
    }
}

impl Action {
    fn new(spec: &NotifySpec, setup: &Setup) -> Result<Self, String> {
        let only = |given: bool, key: &str, kind: NotifyKind| {
            let wrong = given && spec.kind != kind;
            if wrong { Err(format!("`{key}` does not belong to its kind")) } else { Ok(()) }
        };
        only(spec.signal.is_some(), "signal", NotifyKind::Signal)?;
        only(spec.argv.is_some(), "argv", NotifyKind::Exec)?;
        only(spec.url.is_some(), "url", NotifyKind::Http)?;
        if spec.timeout.is_zero() {
            return Err("`timeout` must be longer than nothing".to_owned());
        }
        match spec.kind {
            NotifyKind::Signal => {
                let signal = spec.signal.as_deref().ok_or("`signal` is missing, such as \"HUP\"")?;
                let signal = signal.parse().map_err(|error| format!("{error}"))?;
                let child = setup.child.clone().ok_or("there is no child here that a signal could be sent to")?;
                Ok(Self::Signal(signal, child))
            }
            NotifyKind::Exec => Exec::new(spec, &setup.hidden).map(Self::Exec),
            #[cfg(feature = "http")]
            NotifyKind::Http => http::Http::new(spec).map(Self::Http),
            #[cfg(not(feature = "http"))]
            NotifyKind::Http => Err("this program was built without HTTP notifications".to_owned()),
        }
    }
}

/// Waits until none of the files is about to change again, but not for ever.
async fn settle(files: &mut [watch::Receiver<FileStatus>]) {
    let all = async {
        tokio::time::sleep(SETTLE).await;
        while files.iter().any(|file| file.borrow().busy) {
            for file in &mut *files {
                // A file whose task has ended changes no more.
                let _ = file.wait_for(|file| !file.busy).await;
            }
        }
    };
    let _ = timeout(SETTLE_MAX, all).await;
}

fn is_same(due: &Due, tried: &Due) -> bool {
    let writes = |due: &Due| due.values().map(|(write, _)| *write).collect::<Vec<_>>();
    writes(due) == writes(tried)
}

/// That it was told, so many times; `failures` is how often the last one had to be tried again.
fn say_notified(notify: &str, failures: u32, times: Option<u64>) {
    if let Some(times) = times {
        tracing::info!(notify, failures, times = Some(times).filter(|times| *times > 1), "notified");
    }
}

/// One line for each transition.
fn tell(status: &mut NotifyStatus, result: Result<(), String>, notified: &mut Seldom) {
    status.runs += 1;
    match result {
        Ok(()) => {
            say_notified(&status.name, status.attempts, notified.happened());
            status.succeeded = Some(SystemTime::now());
            status.error = None;
            status.attempts = 0;
        }
        Err(error) => {
            if status.error.as_ref() != Some(&error) {
                tracing::error!(notify = status.name, "{error}; it is tried again until it succeeds");
            }
            status.error = Some(error);
            status.attempts = status.attempts.saturating_add(1);
        }
    }
}
