//! A registry that does what a trial tells it to in the middle of a call.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use registry_core::{
    BatchStream, Bytes, Capabilities, Error, ErrorKind, Index, Info, Key, Lease, RegisterOptions, Registry, Result,
    Scope, Snapshot,
};
use tokio::sync::Notify;
use tokio::time::sleep;

/// What happens when a name is registered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    /// The request is slow, and it is told that it is under way.
    Slow,
    Fails(ErrorKind),
    /// Somebody else is faster, once.
    Taken,
}

#[derive(Debug)]
pub(crate) struct Troubled {
    inner: Arc<dyn Registry>,
    troubles: Mutex<BTreeMap<String, Trouble>>,
    /// A slow request is under way.
    pub(crate) underway: Notify,
    /// How many of the next requests to give back fail.
    pub(crate) refusals: AtomicUsize,
    /// How many slow requests have no answer yet.
    pub(crate) unanswered: AtomicUsize,
    giving_back: AtomicUsize,
    /// The most requests to give back that were under way at the same time.
    pub(crate) most: AtomicUsize,
}

impl Troubled {
    pub(crate) fn new(inner: Arc<dyn Registry>, troubles: &[(&str, Trouble)]) -> Arc<Self> {
        let troubles = troubles.iter().map(|(name, trouble)| ((*name).to_owned(), *trouble)).collect();
        Arc::new(Self {
            inner,
            troubles: Mutex::new(troubles),
            underway: Notify::new(),
            refusals: AtomicUsize::new(0),
            unanswered: AtomicUsize::new(0),
            giving_back: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        })
    }
}

#[async_trait]
impl Registry for Troubled {
    fn info(&self) -> Info {
        self.inner.info()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn register(&self, key: &Key, value: Bytes, options: &RegisterOptions) -> Result<Lease> {
        let trouble = self.troubles.lock().expect("the troubles").remove(key.name().as_str());
        match trouble {
            Some(Trouble::Slow) => {
                self.unanswered.fetch_add(1, Ordering::SeqCst);
                self.underway.notify_one();
                sleep(Duration::from_millis(200)).await;
                self.unanswered.fetch_sub(1, Ordering::SeqCst);
            }
            Some(Trouble::Fails(kind)) => return Err(Error::new(kind, "the trial says so")),
            Some(Trouble::Taken) => {
                let options = RegisterOptions::new().ttl(Duration::from_mins(5));
                self.inner.register(key, "another".into(), &options).await?;
            }
            None => {}
        }
        self.inner.register(key, value, options).await
    }

    async fn renew(&self, lease: &Lease) -> Result<()> {
        self.inner.renew(lease).await
    }

    async fn update(&self, lease: &Lease, value: Bytes) -> Result<Lease> {
        self.inner.update(lease, value).await
    }

    /// Slow enough that what is done in the background comes too late.
    async fn deregister(&self, lease: &Lease) -> Result<()> {
        let now = self.giving_back.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        sleep(Duration::from_millis(100)).await;
        self.giving_back.fetch_sub(1, Ordering::SeqCst);
        let refused = self.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if refused.is_ok() {
            return Err(Error::new(ErrorKind::Unavailable, "cut off by the trial"));
        }
        self.inner.deregister(lease).await
    }

    async fn remove(&self, key: &Key) -> Result<bool> {
        self.inner.remove(key).await
    }

    async fn list(&self, scope: &Scope) -> Result<Snapshot> {
        self.inner.list(scope).await
    }

    async fn watch(&self, scope: &Scope, after: Index) -> Result<BatchStream> {
        self.inner.watch(scope, after).await
    }
}
