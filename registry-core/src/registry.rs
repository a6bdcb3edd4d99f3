//! The trait that a backend implements.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;

use crate::clock::Moment;
use crate::entry::{Batch, Removed, Snapshot};
use crate::error::Result;
use crate::index::Index;
use crate::lease::Lease;
use crate::name::{Key, Scope};
use crate::options::{Capabilities, Info, RegisterOptions};

/// What a watch delivers: batches in the order of the history. It ends, or fails once and ends, when the connection is
/// lost; recovery is the business of [`subscribe`](crate::RegistryExt::subscribe).
pub type BatchStream = Pin<Box<dyn Stream<Item = Result<Batch>> + Send>>;

/// A service registry, as a backend implements it. Users hold [`RegistryExt`](crate::RegistryExt), which recovers.
///
/// # Contract
///
/// *Requests and decoding only.* A method makes its request, once or on a second endpoint, and returns what came of it.
/// It does not retry for long, keep anything alive in the background, or repair: that is written once, in this crate.
///
/// *Every request has a deadline* of a few seconds, after which the endpoint is left for the next one.
///
/// *Failure is never absence.* What is not a complete, well-formed answer of the right server is an error. A record that
/// cannot be decoded (a foreign name, say) is reported with `tracing::warn!` and skipped.
///
/// *Ownership is checked by the server.* `renew`, `update` and `deregister` do nothing to an entry that is not held by
/// the given lease, even when they race with a successor.
///
/// *Arguments are checked before any request*: begin `register` with [`RegisterOptions::check`].
///
/// # Cancel safety
///
/// Every future may be dropped at any time. A write that was cut off may have happened or not, just as after `Timeout`;
/// the time to live is the backstop.
#[async_trait]
pub trait Registry: fmt::Debug + Send + Sync + 'static {
    /// Who serves this registry. Makes no request, holds no secret.
    fn info(&self) -> Info;

    /// What this backend can do. Makes no request; may become more precise once a server was spoken to.
    fn capabilities(&self) -> Capabilities;

    /// Registers an entry under `key`, owned by the returned lease until its time to live runs out.
    ///
    /// The lease's token is greater than that of every former owner of the key. A write whose answer was lost is looked
    /// up before it is reported, where the backend can recognise its own work.
    ///
    /// # Errors
    /// `Conflict` when the condition does not hold; `InvalidInput` or `Unsupported` before any request.
    async fn register(&self, key: &Key, value: Bytes, options: &RegisterOptions) -> Result<Lease>;

    /// Starts the time to live anew. Wakes no watcher and changes no value.
    ///
    /// # Errors
    /// `LeaseLost`: the time ran out, or the server lost its history. `Evicted`: somebody removed the entry while the
    /// lease lived. `Conflict`: somebody else took the name over. Any other kind says nothing about the entry.
    async fn renew(&self, lease: &Lease) -> Result<()>;

    /// Replaces the value and starts the time to live anew, atomically. The returned lease replaces the given one; its
    /// token is the same.
    ///
    /// # Errors
    /// As [`renew`](Registry::renew), and `InvalidInput` for a value that is too large.
    async fn update(&self, lease: &Lease, value: Bytes) -> Result<Lease>;

    /// Removes the entry if it is still held by this lease. Idempotent: an entry that is gone, or somebody else's, is
    /// left alone and the answer is `Ok`.
    async fn deregister(&self, lease: &Lease) -> Result<()>;

    /// Removes an entry, whoever owns it: an administrator's eviction. `false`: it was not there.
    async fn remove(&self, key: &Key) -> Result<bool>;

    /// Reads the whole scope as it was at one point of the history, from a server that knows the latest state.
    ///
    /// A directory or entry that does not exist is an empty snapshot. All or nothing: pages that do not belong to one
    /// revision are never mixed.
    async fn list(&self, scope: &Scope) -> Result<Snapshot>;

    /// Delivers every change after `after`, in order, each once, whole revisions at a time.
    ///
    /// Returns once the server has confirmed the watch, so that a change made afterwards is certain to be delivered.
    /// The stream delivers something at least every [`Capabilities::idle_limit`]: an empty batch when nothing changed.
    ///
    /// # Errors
    /// `Compacted` (also as the stream's last item) when changes after `after` may have been forgotten, or when `after`
    /// lies in another epoch or in the future: list again.
    async fn watch(&self, scope: &Scope, after: Index) -> Result<BatchStream>;

    /// When this backend last noticed that another server leads; `None` if it never did, or cannot know. Makes no request.
    ///
    /// A server that leads no more and does not know it yet may end leases of living owners, so removals mean less for a while.
    /// A backend notices it no later than with the first batch of a watch in which it shows.
    fn leader_changed(&self) -> Option<Moment> {
        None
    }

    /// Finds out why an entry is gone that was there just before `at`, where a watch only says `Unknown`. `Deleted` is certain:
    /// somebody removed it while its lease lived. A backend that cannot find out says `Unknown`.
    async fn why_removed(&self, key: &Key, at: Index) -> Result<Removed> {
        let _ = (key, at);
        Ok(Removed::Unknown)
    }
}

/// What the asynchronous methods return, as `async_trait` writes it.
type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// Forwards every method; a forgotten one does not compile, where a default would hide it.
///
/// The future is handed on as it is: pointers to pointers are usual here, and each would wrap it in a box of its own.
macro_rules! forward {
    ($pointer:ident) => {
        #[deny(clippy::missing_trait_methods)]
        impl<T: Registry + ?Sized> Registry for $pointer<T> {
            fn info(&self) -> Info {
                (**self).info()
            }
            fn capabilities(&self) -> Capabilities {
                (**self).capabilities()
            }
            fn register<'a, 'b, 'c, 'd>(
                &'a self,
                key: &'b Key,
                value: Bytes,
                options: &'c RegisterOptions,
            ) -> Answer<'d, Lease>
            where
                Self: 'd,
                'a: 'd,
                'b: 'd,
                'c: 'd,
            {
                (**self).register(key, value, options)
            }
            forward!(renew(lease: &Lease) -> ());
            forward!(update(lease: &Lease, value: Bytes) -> Lease);
            forward!(deregister(lease: &Lease) -> ());
            forward!(remove(key: &Key) -> bool);
            forward!(list(scope: &Scope) -> Snapshot);
            forward!(watch(scope: &Scope, after: Index) -> BatchStream);
            fn leader_changed(&self) -> Option<Moment> {
                (**self).leader_changed()
            }
            forward!(why_removed(key: &Key, at: Index) -> Removed);
        }
    };
    ($method:ident($about:ident: &$kind:ty $(, $with:ident: $other:ty)?) -> $answer:ty) => {
        fn $method<'a, 'b, 'c>(&'a self, $about: &'b $kind $(, $with: $other)?) -> Answer<'c, $answer>
        where
            Self: 'c,
            'a: 'c,
            'b: 'c,
        {
            (**self).$method($about $(, $with)?)
        }
    };
}
forward!(Arc);
forward!(Box);

/// Helps backends that make their batches one after the other.
pub fn batch_stream<S>(stream: S) -> BatchStream
where
    S: Stream<Item = Result<Batch>> + Send + 'static,
{
    Box::pin(stream)
}
