//! An outage that can be switched on and off, for any backend.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;

use crate::clock::Moment;
use crate::entry::{Batch, Removed, Snapshot};
use crate::error::{Error, ErrorKind, Result};
use crate::index::Index;
use crate::lease::Lease;
use crate::name::{Key, Scope};
use crate::options::{Capabilities, Info, RegisterOptions};
use crate::registry::{BatchStream, Registry};

/// A registry that can be cut off: while it is closed, calls fail with `Unavailable` and watches break.
#[derive(Debug)]
pub struct Gate {
    inner: Arc<dyn Registry>,
    open: watch::Sender<bool>,
    /// Names whose changes the watch loses, as faulty servers do.
    lost: Mutex<Vec<String>>,
    /// One clone for each watch that is open.
    watches: Arc<()>,
}

impl Gate {
    /// An open gate.
    pub fn new(inner: Arc<dyn Registry>) -> Arc<Self> {
        Arc::new(Self { inner, open: watch::Sender::new(true), lost: Mutex::default(), watches: Arc::default() })
    }

    /// Cuts the registry off, and breaks the watches that run.
    pub fn close(&self) {
        self.open.send_replace(false);
    }

    /// Lets calls through again.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// From now on, watches swallow every change of this name.
    pub fn lose(&self, name: &str) {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
    }

    /// How many watches are open.
    pub fn open_watches(&self) -> usize {
        Arc::strong_count(&self.watches) - 1
    }

    fn pass(&self) -> Result<()> {
        if *self.open.borrow() { Ok(()) } else { Err(closed()) }
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "cut off by the trial")
}

#[async_trait]
impl Registry for Gate {
    fn info(&self) -> Info {
        self.inner.info()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn register(&self, key: &Key, value: Bytes, options: &RegisterOptions) -> Result<Lease> {
        self.pass()?;
        self.inner.register(key, value, options).await
    }

    async fn renew(&self, lease: &Lease) -> Result<()> {
        self.pass()?;
        self.inner.renew(lease).await
    }

    async fn update(&self, lease: &Lease, value: Bytes) -> Result<Lease> {
        self.pass()?;
        self.inner.update(lease, value).await
    }

    async fn deregister(&self, lease: &Lease) -> Result<()> {
        self.pass()?;
        self.inner.deregister(lease).await
    }

    async fn remove(&self, key: &Key) -> Result<bool> {
        self.pass()?;
        self.inner.remove(key).await
    }

    async fn list(&self, scope: &Scope) -> Result<Snapshot> {
        self.pass()?;
        self.inner.list(scope).await
    }

    async fn watch(&self, scope: &Scope, after: Index) -> Result<BatchStream> {
        self.pass()?;
        let inner = self.inner.watch(scope, after).await?;
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut open = self.open.subscribe();
        let closed = Box::pin(async move {
            // An error means that the gate itself is gone, and nobody can close it any more.
            if open.wait_for(|open| !open).await.is_err() {
                std::future::pending::<()>().await;
            }
        });
        Ok(Box::pin(Cut { inner, closed, lost, over: false, _open: Arc::clone(&self.watches) }))
    }

    fn leader_changed(&self) -> Option<Moment> {
        self.inner.leader_changed()
    }

    async fn why_removed(&self, key: &Key, at: Index) -> Result<Removed> {
        self.pass()?;
        self.inner.why_removed(key, at).await
    }
}

struct Cut {
    inner: BatchStream,
    closed: Pin<Box<dyn Future<Output = ()> + Send>>,
    lost: Vec<String>,
    over: bool,
    _open: Arc<()>,
}

impl futures_core::Stream for Cut {
    type Item = Result<Batch>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Batch>>> {
        let this = self.get_mut();
        if this.over {
            return Poll::Ready(None);
        }
        if this.closed.as_mut().poll(context).is_ready() {
            this.over = true;
            return Poll::Ready(Some(Err(closed())));
        }
        this.inner.as_mut().poll_next(context).map_ok(|mut batch| {
            batch.changes.retain(|change| !this.lost.iter().any(|lost| lost == change.name().as_str()));
            batch
        })
    }
}

/// For readers of a stream without a combinator library.
pub(super) async fn first(stream: &mut BatchStream) -> Option<Result<Batch>> {
    poll_fn(|context| stream.as_mut().poll_next(context)).await
}
