//! No call takes longer than its user can wait.

use std::time::Duration;

use registry_core::{
    BatchStream, Bytes, Capabilities, Error, ErrorKind, Index, Info, Key, Lease, Moment, RegisterOptions, Registry,
    Removed, Result, Scope, Snapshot, async_trait,
};

/// Ends every call after a time. Backends have deadlines of their own, of a few seconds for each server that they ask; this
/// is for who can wait less than all of them together.
///
/// A watch is limited until the server has confirmed it; how long it may be silent afterwards is the business of
/// [`RegistryExt::subscribe`](crate::RegistryExt::subscribe).
///
/// # Errors
/// `Timeout`, which says that it was this limit. A write may have happened or not.
#[derive(Clone, Debug)]
pub struct Timeout<R> {
    inner: R,
    limit: Duration,
}

impl<R: Registry> Timeout<R> {
    /// Ends every call of `inner` after `limit`.
    pub fn new(inner: R, limit: Duration) -> Self {
        Self { inner, limit }
    }

    async fn limited<T>(&self, operation: &'static str, call: impl Future<Output = Result<T>>) -> Result<T> {
        let over = |_| {
            let message = format!("{}: no answer within the limit of {:?}", self.inner.info(), self.limit);
            Error::new(ErrorKind::Timeout, message).during(operation)
        };
        tokio::time::timeout(self.limit, call).await.map_err(over)?
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<R: Registry> Registry for Timeout<R> {
    fn info(&self) -> Info {
        self.inner.info()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn register(&self, key: &Key, value: Bytes, options: &RegisterOptions) -> Result<Lease> {
        self.limited("register", self.inner.register(key, value, options)).await
    }

    async fn renew(&self, lease: &Lease) -> Result<()> {
        self.limited("renew", self.inner.renew(lease)).await
    }

    async fn update(&self, lease: &Lease, value: Bytes) -> Result<Lease> {
        self.limited("update", self.inner.update(lease, value)).await
    }

    async fn deregister(&self, lease: &Lease) -> Result<()> {
        self.limited("deregister", self.inner.deregister(lease)).await
    }

    async fn remove(&self, key: &Key) -> Result<bool> {
        self.limited("remove", self.inner.remove(key)).await
    }

    async fn list(&self, scope: &Scope) -> Result<Snapshot> {
        self.limited("list", self.inner.list(scope)).await
    }

    async fn watch(&self, scope: &Scope, after: Index) -> Result<BatchStream> {
        self.limited("watch", self.inner.watch(scope, after)).await
    }

    fn leader_changed(&self) -> Option<Moment> {
        self.inner.leader_changed()
    }

    async fn why_removed(&self, key: &Key, at: Index) -> Result<Removed> {
        self.limited("why_removed", self.inner.why_removed(key, at)).await
    }
}
