//! Listing and watching that recovers by itself.

mod audit;
mod feed;
mod grace;
mod hub;
mod queue;
mod recovery;
mod view;

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::entry::{Batch, Snapshot};
use crate::error::{Error, Result};
use crate::index::Index;
use crate::name::Scope;
use crate::registry::Registry;
use futures_core::Stream;
use tokio::sync::watch;

use grace::Grace;
pub use grace::Suppressed;
use hub::Hub;
use view::View;

/// What a subscription tells.
#[derive(Debug)]
pub enum Event {
    /// The whole state. It replaces everything that was known: what is not in it is gone.
    Snapshot {
        /// The state.
        snapshot: Snapshot,
        /// Why it is told.
        cause: Cause,
    },
    /// What changed since the last snapshot or changes; never empty.
    Changes(Batch),
    /// The registry cannot be reached. What is known stays as it is, and may be stale.
    Interrupted {
        /// What happened.
        error: Error,
        /// When the next attempt is made.
        retry_in: Duration,
        /// Until when what is known was the truth.
        stale_since: Instant,
    },
    /// The watch runs again, and no change was missed.
    Resumed {
        /// Up to where what is known is the truth.
        index: Index,
    },
}

/// Why a snapshot is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// It is the first one.
    Initial,
    /// Changes were missed; this state makes up for them.
    Gap(Gap),
}

/// Why changes were missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Gap {
    /// The server has forgotten the history in between.
    Compacted,
    /// The history is another one: the store was wiped or restored.
    EpochChanged,
    /// The subscriber was too slow to be told every change; or the server was, to tell one that resumed.
    Lagged,
    /// The backend cannot watch from a point in the past.
    NoResume,
}

/// How a subscription behaves. The defaults are right for almost everybody.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SubscribeOptions {
    /// Tell the changes after this point instead of beginning with a snapshot.
    pub after: Option<Index>,
    /// How often the list is read again and compared, because servers lose events; spread by a fifth.
    pub reconcile_every: Duration,
    /// How many changes wait for a slow subscriber before they are merged, and then replaced by a snapshot.
    ///
    /// One whose name and value are longer than 1 KiB counts once for each KiB that it begins. So with the default, 4096, at
    /// most 4 MiB of names and values wait. A single batch that is larger may wait alone.
    pub bound: usize,
    /// The longest wait between two attempts to reach the registry.
    pub retry_max: Duration,
    /// Suppress removals of members that are probably alive, for this long after the last reason to do so; never by default.
    /// See [`grace`](Self::grace).
    pub grace: Option<Duration>,
}

/// A grace for members whose TTL is not known: as long as a careful one has.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(90);

impl Default for SubscribeOptions {
    fn default() -> Self {
        let (reconcile_every, retry_max) = (Duration::from_mins(1), Duration::from_secs(3));
        Self { after: None, reconcile_every, bound: 4096, retry_max, grace: None }
    }
}

impl SubscribeOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tell the changes after this point.
    pub fn after(mut self, after: Index) -> Self {
        self.after = Some(after);
        self
    }

    /// Sets how often the list is read again and compared.
    pub fn reconcile_every(mut self, interval: Duration) -> Self {
        self.reconcile_every = interval;
        self
    }

    /// For a subscriber that acts on the loss of a member: a removal that may be an expiry is suppressed while the members that
    /// it may concern have had no time to come back.
    ///
    /// *When*: for `period` after an interruption in which members may have expired because they could not renew (two thirds of
    /// the shortest TTL that the backend allows, or longer); after the store was replaced by another one; after another server
    /// took the lead ([`Registry::leader_changed`]); and after at least two entries, and at least a third of all, have expired
    /// within a quarter of a second. Nothing is removed while the registry cannot be reached. Another reason begins the period
    /// anew.
    ///
    /// *What*: additions and updates pass at once, and so does a removal that is known to be deliberate. What has not come back
    /// at the end of the period is removed then. Without any of these reasons a removal that may be an expiry is reported a quarter
    /// of a second late, and not at all if the entry is back by then.
    ///
    /// It needs the whole state, so it has no effect on a subscription that resumes from an index alone. Not for locks and
    /// elections, which must see what the server has.
    pub fn grace(mut self, period: Duration) -> Self {
        self.grace = (!period.is_zero()).then_some(period);
        self
    }

    /// Sets how many changes wait for a slow subscriber, at least 2; larger ones than 1 KiB count more than once.
    pub fn bound(mut self, bound: usize) -> Self {
        self.bound = bound.max(2);
        self
    }
}

/// A scope that is listed, watched, and listed again whenever that is needed.
///
/// *First item*: a [`Event::Snapshot`] with [`Cause::Initial`], unless it resumes; [`Event::Interrupted`] may come before
/// it while the registry cannot be reached. *Order*: that of the history. *Gap*: a snapshot with [`Cause::Gap`].
/// *End*: an `Err` is permanent (bad credentials, invalid input) and the last item; otherwise it never ends. Losing a
/// permission after a state was told does not end it: the last good state stands and it keeps trying.
///
/// *Sharing*: subscriptions of one scope that are made on clones of one `Arc`, on one runtime and with the same
/// [`reconcile_every`](SubscribeOptions::reconcile_every), cost the server one watch. Nobody notices: each begins with a state
/// that was so after it was made, is told every change after it, and takes what it is told at its own pace. One that resumes
/// has a watch of its own.
///
/// Dropping the last one ends the watch. A subscriber may be as slow as it likes: reading from the server does not wait for
/// it, and neither do the others.
///
/// *Memory*: for the members, and never for the history. Those who share a watch share one state: the names and the values of
/// all entries, with about 200 bytes for each, and once more while a list is read. To this each adds what waits for it: at most
/// [`bound`](SubscribeOptions::bound) KiB of names and values, with about half a KiB for each of at most `bound` changes.
pub struct Subscription {
    hub: Arc<Hub>,
    number: u64,
    grace: Option<Box<Grace>>,
}

impl Subscription {
    /// Joins who reads the scope already, or starts the recovery on the current tokio runtime.
    pub(crate) fn start(registry: Arc<dyn Registry>, handle: usize, scope: Scope, options: SubscribeOptions) -> Self {
        let grace = options.grace.filter(|_| options.after.is_none());
        let grace = grace.map(|period| Box::new(Grace::new(Arc::clone(&registry), scope.clone(), period, None)));
        let (hub, number) = Hub::join(registry, handle, scope, options);
        Self { hub, number, grace }
    }

    /// Goes on from a list that the subscriber has.
    pub(crate) fn start_from(
        registry: Arc<dyn Registry>,
        scope: Scope,
        listed: Snapshot,
        options: SubscribeOptions,
    ) -> Self {
        let options = options.after(listed.index);
        let grace = |period| Box::new(Grace::new(Arc::clone(&registry), scope.clone(), period, Some(&listed)));
        let grace = options.grace.map(grace);
        let mut view = View::default();
        view.replace(listed);
        let (hub, number) = Hub::begin(registry, None, scope, view, options);
        Self { hub, number, grace }
    }

    /// With a [grace](SubscribeOptions::grace): what the caller knew before, such as an earlier run of its program. Members of it that
    /// are missing in the list that this subscription goes on from are taken for members that could not renew: removed at the end
    /// of the grace, unless they come back, or at once where the registry says that they were taken away on purpose. The caller
    /// goes on knowing them until then.
    pub fn with_known(mut self, known: &Snapshot) -> Self {
        if let Some(grace) = &mut self.grace {
            grace.add_known(known);
        }
        self
    }

    /// What [`SubscribeOptions::grace`] suppresses, for whoever reports how the subscription does: a channel that follows it while
    /// the subscription is read. Without a grace it holds `None` and is closed.
    pub fn suppressed(&self) -> watch::Receiver<Option<Suppressed>> {
        self.grace.as_ref().map_or_else(|| watch::channel(None).1, |grace| grace.suppressed())
    }

    /// The next event; `None` after a permanent error. Cancel safe: an event is either returned or still waiting.
    pub async fn next(&mut self) -> Option<Result<Event>> {
        poll_fn(|context| self.poll(context)).await
    }

    /// The registry has answered the caller just now: a watch that waits to be opened again is tried for at once.
    pub(crate) fn is_reachable(&self) {
        self.hub.reachable.notify_waiters();
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Event>>> {
        match &mut self.grace {
            Some(grace) => grace.poll(&self.hub, self.number, context),
            None => self.hub.feed().poll(self.number, context),
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suppressed = *self.suppressed().borrow();
        f.debug_struct("Subscription").field("hub", &self.hub).field("suppressed", &suppressed).finish_non_exhaustive()
    }
}

impl Stream for Subscription {
    type Item = Result<Event>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll(context)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.leave(self.number);
    }
}
