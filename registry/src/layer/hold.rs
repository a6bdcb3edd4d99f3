//! The last good list, for when there is none.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use registry_core::{
    Batch, BatchStream, Bytes, Capabilities, ErrorKind, Index, Info, Key, Lease, Moment, RegisterOptions, Registry,
    Removed, Result, Scope, Snapshot, async_trait,
};

use super::held::Held;

/// More scopes than this are not held, so that a client that makes up scopes does not fill the memory.
const MAX_SCOPES: usize = 1024;

/// Answers `list` with the last good snapshot while the registry does not answer, so that whoever begins to look during an
/// outage begins with what was known before it.
///
/// A held snapshot keeps the index of its truth, and follows the watches that run through this layer; so a subscription
/// that begins with it is told every change after it, once the registry is back. While it is not, the subscription says
/// that it is interrupted, counting from its own beginning: how old the held snapshot is, only the report says. Every held answer is reported with `tracing::warn!`.
///
/// Nothing but `list` is answered in the registry's stead, and only where it was `Unavailable` or did not answer in time:
/// who is refused is told so.
#[derive(Clone, Debug)]
pub struct HoldLastGood<R> {
    inner: R,
    at_most: Duration,
    held: Scopes,
}

type Scopes = Arc<Mutex<HashMap<Scope, Held>>>;

impl<R: Registry> HoldLastGood<R> {
    /// Holds the lists of `inner`, each for as long as it was the truth `at_most` this long ago.
    pub fn new(inner: R, at_most: Duration) -> Self {
        Self { inner, at_most, held: Scopes::default() }
    }

    fn at(&self, scope: &Scope, change: impl FnOnce(&mut Held)) {
        let mut scopes = lock(&self.held);
        if scopes.contains_key(scope) || scopes.len() < MAX_SCOPES {
            change(scopes.entry(scope.clone()).or_default());
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<R: Registry> Registry for HoldLastGood<R> {
    fn info(&self) -> Info {
        self.inner.info()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn register(&self, key: &Key, value: Bytes, options: &RegisterOptions) -> Result<Lease> {
        self.inner.register(key, value, options).await
    }

    async fn renew(&self, lease: &Lease) -> Result<()> {
        self.inner.renew(lease).await
    }

    async fn update(&self, lease: &Lease, value: Bytes) -> Result<Lease> {
        self.inner.update(lease, value).await
    }

    async fn deregister(&self, lease: &Lease) -> Result<()> {
        self.inner.deregister(lease).await
    }

    async fn remove(&self, key: &Key) -> Result<bool> {
        self.inner.remove(key).await
    }

    async fn list(&self, scope: &Scope) -> Result<Snapshot> {
        match self.inner.list(scope).await {
            Ok(snapshot) => {
                self.at(scope, |held| held.list(&snapshot));
                Ok(snapshot)
            }
            Err(error) if error.is_unavailable() => {
                let known = lock(&self.held).get(scope).and_then(|held| held.known(self.at_most));
                let Some((snapshot, age)) = known else { return Err(error) };
                tracing::warn!(%scope, ?age, %error, "the list is the last good one");
                Ok(snapshot)
            }
            Err(error) => Err(error),
        }
    }

    async fn watch(&self, scope: &Scope, after: Index) -> Result<BatchStream> {
        let opened = self.inner.watch(scope, after).await;
        match &opened {
            Ok(_) => self.at(scope, |held| held.watched_from(after)),
            // What cannot be resumed from must not be told again.
            Err(error) if error.kind() == ErrorKind::Compacted => self.at(scope, Held::forget),
            Err(_) => {}
        }
        Ok(Box::pin(Followed { stream: opened?, scope: scope.clone(), held: Arc::clone(&self.held) }))
    }

    fn leader_changed(&self) -> Option<Moment> {
        self.inner.leader_changed()
    }

    async fn why_removed(&self, key: &Key, at: Index) -> Result<Removed> {
        self.inner.why_removed(key, at).await
    }
}

fn lock(held: &Mutex<HashMap<Scope, Held>>) -> MutexGuard<'_, HashMap<Scope, Held>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A watch whose changes are made to the held snapshot too.
struct Followed {
    stream: BatchStream,
    scope: Scope,
    held: Scopes,
}

impl Stream for Followed {
    type Item = Result<Batch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.stream.as_mut().poll_next(context);
        if let Poll::Ready(Some(item)) = &polled
            && let Some(held) = lock(&self.held).get_mut(&self.scope)
        {
            match item {
                Ok(batch) => held.follow(batch),
                Err(error) if error.kind() == ErrorKind::Compacted => held.forget(),
                Err(_) => {}
            }
        }
        polled
    }
}
