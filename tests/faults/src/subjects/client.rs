//! A client: a thread with a runtime of its own, so that it can be frozen and crashed like a process.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use registry::Registry;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, watch};

use super::process::{Part, Process, endpoint, own_history};
use super::role::Role;
use crate::Result;
use crate::history::{History, Recorder, What};
use crate::stores::{Link, Store};

/// What a client may be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Order {
    #[default]
    Live,
    /// Give back what you have in good order, and end.
    Stop,
    /// End without a word.
    Crash,
}

/// One client, as the one who makes it suffer sees it.
#[derive(Debug)]
pub struct Client {
    name: String,
    link: Arc<Link>,
    recorder: Recorder,
    body: Body,
}

#[derive(Debug)]
enum Body {
    /// A thread with a runtime of its own.
    Thread {
        orders: watch::Sender<Order>,
        leaves: watch::Sender<u64>,
        freezes: mpsc::UnboundedSender<Duration>,
        thread: thread::JoinHandle<()>,
    },
    /// A process of its own.
    Process(Process),
}

/// What a subject lives on.
#[derive(Debug)]
pub struct Context {
    /// Its connection.
    pub registry: Arc<dyn Registry>,
    /// What it writes into.
    pub recorder: Recorder,
    orders: watch::Receiver<Order>,
    leaves: watch::Receiver<u64>,
}

impl Client {
    /// Starts a subject on a thread of its own.
    ///
    /// # Errors
    /// When the thread or its runtime cannot be started.
    pub fn start<S, F>(name: &str, link: Arc<Link>, history: &History, subject: S) -> Result<Self>
    where
        S: FnOnce(Context) -> F + Send + 'static,
        F: Future<Output = ()>,
    {
        let recorder = history.recorder(name);
        let (orders, told) = watch::channel(Order::Live);
        let (leaves, left) = watch::channel(0);
        let (freezes, mut frozen) = mpsc::unbounded_channel();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (way, own) = (Arc::clone(&link), recorder.clone());
        let body = move || {
            runtime.block_on(async move {
                let registry = match way.connect() {
                    Ok(registry) => registry,
                    Err(error) => {
                        own.record(What::Ended { why: error.to_string() });
                        return;
                    }
                };
                tokio::spawn(async move {
                    while let Some(duration) = frozen.recv().await {
                        // Blocks the runtime, and with it everything that this client does: as SIGSTOP would.
                        thread::sleep(duration);
                    }
                });
                let mut crash = told.clone();
                let context = Context { registry, recorder: own, orders: told, leaves: left };
                tokio::select! {
                    () = subject(context) => {}
                    // What was registered is dropped, and the runtime with it before anything can be given back.
                    _ = crash.wait_for(|order| *order == Order::Crash) => {}
                }
            });
            runtime.shutdown_timeout(Duration::ZERO);
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(body)?;
        let body = Body::Thread { orders, leaves, freezes, thread };
        Ok(Self { name: name.to_owned(), link, recorder, body })
    }

    /// Starts a process of its own, with a history of its own that becomes a part of this one.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(name: &str, link: Arc<Link>, store: &Store, history: &History, role: Role) -> Result<Self> {
        let its = own_history(history.path(), name);
        history.add(&its);
        let endpoint = endpoint(&link, store.endpoint());
        let part = Part { kind: store.kind(), endpoint, name: name.to_owned(), role, history: its };
        let body = Body::Process(Process::start(&part)?);
        Ok(Self { name: name.to_owned(), link, recorder: history.recorder(name), body })
    }

    /// True when it is a process of its own.
    pub fn is_process(&self) -> bool {
        matches!(self.body, Body::Process(_))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its way to the store.
    pub fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Stops everything it does, for so long.
    pub fn freeze(&self, duration: Duration) {
        match &self.body {
            // One that has ended needs no freezing.
            Body::Thread { freezes, .. } => drop(freezes.send(duration)),
            Body::Process(process) => process.freeze(duration),
        }
    }

    /// Lets it give back what it has in good order, and come back later. A process does not hear of this.
    pub fn leave(&self) {
        if let Body::Thread { leaves, .. } = &self.body {
            leaves.send_modify(|leaves| *leaves += 1);
        }
    }

    /// Ends it as SIGKILL does, and with it if it is a process. Returns when it has ended.
    pub async fn crash(self) {
        match self.body {
            Body::Thread { orders, thread, .. } => {
                orders.send_replace(Order::Crash);
                join(thread).await;
            }
            Body::Process(mut process) => process.kill(),
        }
        self.recorder.record(What::Crashed);
    }

    /// Ends it in good order.
    pub async fn stop(self) {
        match self.body {
            Body::Thread { orders, thread, .. } => {
                orders.send_replace(Order::Stop);
                join(thread).await;
            }
            Body::Process(process) => process.stop().await,
        }
    }
}

async fn join(thread: thread::JoinHandle<()>) {
    // A subject that has panicked has written down nothing more, and is missed by the checker.
    let _ = tokio::task::spawn_blocking(move || thread.join()).await;
}

/// Runs a subject on the runtime of this process, until it or the process is to end.
pub(super) async fn inside<F: Future<Output = ()>>(
    registry: Arc<dyn Registry>,
    recorder: Recorder,
    ended: impl Future<Output = ()>,
    subject: impl FnOnce(Context) -> F,
) {
    let (orders, told) = watch::channel(Order::Live);
    let (_leaves, left) = watch::channel(0);
    let mut subject = std::pin::pin!(subject(Context { registry, recorder, orders: told, leaves: left }));
    tokio::select! {
        () = &mut subject => return,
        () = ended => {}
    }
    orders.send_replace(Order::Stop);
    subject.await;
}

impl Context {
    /// Returns when it is to end.
    pub async fn stopped(&self) {
        // An error means that nobody is there any more to be served.
        let _ = self.orders.clone().wait_for(|order| *order == Order::Stop).await;
    }

    /// True when it is to end.
    pub fn is_stopped(&self) -> bool {
        *self.orders.borrow() == Order::Stop
    }

    /// Returns when it is to leave for a while, or to end.
    pub async fn left(&mut self) {
        let mut orders = self.orders.clone();
        tokio::select! {
            _ = orders.wait_for(|order| *order == Order::Stop) => {}
            _ = self.leaves.changed() => {}
        }
    }

    /// Sleeps, unless it is to end. False: it is.
    pub async fn rest(&self, duration: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(duration) => true,
            () = self.stopped() => false,
        }
    }
}
