//! One client's own way to the simulated registry, which can be cut off without a word.

use std::fmt;
use std::future::pending;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::unfold;
use registry_core::{
    BatchStream, Bytes, Capabilities, Index, Info, Key, Lease, Moment, RegisterOptions, Registry, Removed, Result,
    Scope, Snapshot, async_trait,
};
use tokio::sync::watch;

use crate::support::Fake;

pub(super) struct Link {
    fake: Arc<Fake>,
    up: watch::Sender<bool>,
}

impl Link {
    pub(super) fn to(fake: &Arc<Fake>) -> Arc<Self> {
        Arc::new(Self { fake: Arc::clone(fake), up: watch::Sender::new(true) })
    }

    /// Nothing passes any more, and whoever waits for an answer gets none; or everything passes again.
    pub(super) fn set(&self, up: bool) {
        self.up.send_replace(up);
    }

    async fn through<T>(&self, call: impl Future<Output = T> + Send) -> T {
        if !*self.up.borrow() {
            return pending().await;
        }
        let mut up = self.up.subscribe();
        let down = async { _ = up.wait_for(|up| !up).await };
        tokio::select! {
            biased;
            () = down => pending().await,
            answer = call => answer,
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

#[async_trait]
impl Registry for Link {
    fn info(&self) -> Info {
        self.fake.info()
    }

    fn capabilities(&self) -> Capabilities {
        self.fake.capabilities()
    }

    async fn register(&self, key: &Key, value: Bytes, options: &RegisterOptions) -> Result<Lease> {
        self.through(self.fake.register(key, value, options)).await
    }

    async fn renew(&self, lease: &Lease) -> Result<()> {
        self.through(self.fake.renew(lease)).await
    }

    async fn update(&self, lease: &Lease, value: Bytes) -> Result<Lease> {
        self.through(self.fake.update(lease, value)).await
    }

    async fn deregister(&self, lease: &Lease) -> Result<()> {
        self.through(self.fake.deregister(lease)).await
    }

    async fn remove(&self, key: &Key) -> Result<bool> {
        self.through(self.fake.remove(key)).await
    }

    async fn list(&self, scope: &Scope) -> Result<Snapshot> {
        self.through(self.fake.list(scope)).await
    }

    /// A watch that was cut off once says nothing any more.
    async fn watch(&self, scope: &Scope, after: Index) -> Result<BatchStream> {
        let stream = self.through(self.fake.watch(scope, after)).await?;
        Ok(Box::pin(unfold((stream, self.up.subscribe()), |(mut stream, mut up)| async move {
            let down = async { _ = up.wait_for(|up| !up).await };
            let item = tokio::select! {
                biased;
                () = down => pending().await,
                item = stream.next() => item?,
            };
            Some((item, (stream, up)))
        })))
    }

    fn leader_changed(&self) -> Option<Moment> {
        self.fake.leader_changed()
    }

    async fn why_removed(&self, key: &Key, at: Index) -> Result<Removed> {
        self.through(self.fake.why_removed(key, at)).await
    }
}
