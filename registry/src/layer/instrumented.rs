//! Every call is measured.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_core::Stream;
use registry_core::{
    Batch, BatchStream, Bytes, Capabilities, Index, Info, Key, Lease, Moment, RegisterOptions, Registry, Removed,
    Result, Scope, Snapshot, async_trait,
};
use tracing::Instrument;

use crate::observe;

/// Measures every call: a span `registry` with the fields `backend`, `operation`, `path` and, when it failed, `error`;
/// an event at the level `debug` for each failure; with the feature `metrics` the counters and gauges that
/// `docs/library.md` lists.
///
/// Put it outside of what it should measure: around [`Timeout`](super::Timeout), say, to count its time-outs.
#[derive(Clone, Debug)]
pub struct Instrumented<R> {
    inner: R,
    backend: &'static str,
}

impl<R: Registry> Instrumented<R> {
    /// Measures every call of `inner`.
    pub fn new(inner: R) -> Self {
        let backend = inner.info().scheme;
        Self { inner, backend }
    }

    async fn measured<T>(
        &self,
        operation: &'static str,
        path: &str,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let span =
            tracing::debug_span!("registry", backend = self.backend, operation, path, error = tracing::field::Empty);
        let begun = Instant::now();
        let result = call.instrument(span.clone()).await;
        let kind = result.as_ref().err().map(registry_core::Error::kind);
        observe::request(self.backend, operation, kind, begun.elapsed());
        if let Err(error) = &result {
            span.record("error", tracing::field::debug(error.kind()));
            span.in_scope(|| tracing::debug!(%error, "a call of the registry failed"));
        }
        result
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<R: Registry> Registry for Instrumented<R> {
    fn info(&self) -> Info {
        self.inner.info()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn register(&self, key: &Key, value: Bytes, options: &RegisterOptions) -> Result<Lease> {
        self.measured("register", key.as_str(), self.inner.register(key, value, options)).await
    }

    async fn renew(&self, lease: &Lease) -> Result<()> {
        self.measured("renew", lease.key().as_str(), self.inner.renew(lease)).await
    }

    async fn update(&self, lease: &Lease, value: Bytes) -> Result<Lease> {
        self.measured("update", lease.key().as_str(), self.inner.update(lease, value)).await
    }

    async fn deregister(&self, lease: &Lease) -> Result<()> {
        self.measured("deregister", lease.key().as_str(), self.inner.deregister(lease)).await
    }

    async fn remove(&self, key: &Key) -> Result<bool> {
        self.measured("remove", key.as_str(), self.inner.remove(key)).await
    }

    async fn list(&self, scope: &Scope) -> Result<Snapshot> {
        self.measured("list", scope.path(), self.inner.list(scope)).await
    }

    async fn watch(&self, scope: &Scope, after: Index) -> Result<BatchStream> {
        let stream = self.measured("watch", scope.path(), self.inner.watch(scope, after)).await?;
        observe::watch_opened(self.backend);
        Ok(Box::pin(Counted { stream, backend: self.backend }))
    }

    fn leader_changed(&self) -> Option<Moment> {
        self.inner.leader_changed()
    }

    async fn why_removed(&self, key: &Key, at: Index) -> Result<Removed> {
        self.measured("why_removed", key.as_str(), self.inner.why_removed(key, at)).await
    }
}

/// A watch that is counted for as long as it exists.
struct Counted {
    stream: BatchStream,
    backend: &'static str,
}

impl Stream for Counted {
    type Item = Result<Batch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.stream.as_mut().poll_next(context);
        if let Poll::Ready(Some(Ok(batch))) = &polled {
            observe::changes(self.backend, batch.changes.len());
        }
        polled
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        observe::watch_closed(self.backend);
    }
}
