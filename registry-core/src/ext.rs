//! What users of a registry call.

use std::sync::Arc;

use bytes::Bytes;

use crate::announce::Registration;
use crate::entry::Snapshot;
use crate::error::Result;
use crate::index::Index;
use crate::name::{Key, Scope};
use crate::options::RegisterOptions;
use crate::registry::Registry;
use crate::subscription::{SubscribeOptions, Subscription};

/// Watching and registering that recover by themselves, for every registry.
///
/// All of it runs on the tokio runtime that it is called on.
pub trait RegistryExt: Registry + sealed::Sealed {
    /// Follows a scope, beginning with a snapshot.
    fn subscribe(self: &Arc<Self>, scope: impl Into<Scope>) -> Subscription {
        self.subscribe_with(scope, SubscribeOptions::new())
    }

    /// Follows a scope from a point in the past: every change after it is told, or a snapshot that makes up for them.
    fn subscribe_after(self: &Arc<Self>, scope: impl Into<Scope>, after: Index) -> Subscription {
        self.subscribe_with(scope, SubscribeOptions::new().after(after))
    }

    /// Follows a scope in another than the usual way.
    fn subscribe_with(self: &Arc<Self>, scope: impl Into<Scope>, options: SubscribeOptions) -> Subscription {
        Subscription::start(Arc::new(Arc::clone(self)), handle(self), scope.into(), options)
    }

    /// Follows a scope from a list that the caller has made of it: every change after it is told, or a snapshot that makes
    /// up for them. Unlike [`subscribe_after`](Self::subscribe_after) it knows what was there, so nothing has to be read
    /// a second time.
    fn subscribe_from(
        self: &Arc<Self>,
        scope: impl Into<Scope>,
        listed: Snapshot,
        options: SubscribeOptions,
    ) -> Subscription {
        Subscription::start_from(Arc::new(Arc::clone(self)), scope.into(), listed, options)
    }

    /// Registers an entry and keeps it. Returns when it stands; while the registry cannot be reached it goes on trying,
    /// so set a time limit around it where that matters. Cancel safe: giving up releases what was registered.
    ///
    /// # Errors
    /// Only what trying again cannot mend: `InvalidInput`, `Unsupported`, `Conflict`, bad credentials. After an attempt
    /// without an answer a `Conflict` may be due to what that attempt has left, so it is returned only when it lasts longer
    /// than that entry can.
    fn announce(
        self: &Arc<Self>,
        key: Key,
        value: impl Into<Bytes>,
        options: RegisterOptions,
    ) -> impl Future<Output = Result<Registration>> + Send {
        let (registry, value) = (Arc::clone(self), value.into());
        async move {
            // Held during the wait: when the caller gives up, its drop releases.
            let mut registration = registry.begin(key, value, options)?;
            registration.stands().await?;
            Ok(registration)
        }
    }

    /// Begins to register an entry, and returns at once. For who may have to give it back before it stands, and wants to
    /// know that nothing is left behind: [`deregister`](Registration::deregister) waits for the request in flight, where
    /// dropping a future of [`announce`](Self::announce) leaves that to the background.
    ///
    /// # Errors
    /// `InvalidInput` or `Unsupported`, before any request.
    fn begin(self: &Arc<Self>, key: Key, value: impl Into<Bytes>, options: RegisterOptions) -> Result<Registration> {
        Registration::begin(Arc::new(Arc::clone(self)), handle(self), key, value.into(), options)
    }
}

impl<R: Registry + ?Sized> RegistryExt for R {}

/// Where a registry lies: clones of one `Arc` agree on it.
fn handle<R: Registry + ?Sized>(registry: &Arc<R>) -> usize {
    Arc::as_ptr(registry).cast::<()>().addr()
}

mod sealed {
    pub trait Sealed {}
    impl<R: super::Registry + ?Sized> Sealed for R {}
}
