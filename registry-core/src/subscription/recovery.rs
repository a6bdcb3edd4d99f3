//! The state machine that turns `list` and `watch` into a subscription: one function for each state.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use super::audit::Audit;
use super::hub::{Hub, Locked};
use super::{Cause, Event, Gap, SubscribeOptions};
use crate::backoff::{Backoff, jitter};
use crate::entry::{Batch, Snapshot};
use crate::error::{Error, ErrorKind, Result};
use crate::index::Index;
use crate::limit::limited;
use crate::name::Scope;
use crate::options::{Capabilities, WatchKind};
use crate::registry::{BatchStream, Registry};

/// No single call may take longer, whatever the backend promised.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// A watch that lived this long was a good one: the next failure is a new one.
const GOOD_WATCH: Duration = Duration::from_secs(5);
/// How long events that a list already includes may take to arrive before the difference is told instead.
const SETTLE: Duration = Duration::from_secs(2);
/// The first wait after a failure.
const RETRY_MIN: Duration = Duration::from_millis(100);
/// Losing a permission is not mended by haste.
const REFUSED_WAIT: Duration = Duration::from_secs(15);

/// Where the recovery stands.
enum State {
    /// Reads the whole scope. `Initial`, or the gap that the snapshot closes.
    Listing(Cause),
    /// Opens a watch after the last index that was told.
    Opening,
    /// Reads the watch.
    Watching(BatchStream),
    /// Waits after an error, then goes on with the given state.
    BackingOff(Error, Box<State>),
    /// A permanent error was told.
    Ended,
}

pub(super) struct Recovery {
    registry: Arc<dyn Registry>,
    scope: Scope,
    hub: Arc<Hub>,
    options: SubscribeOptions,
    backoff: Backoff,
    /// True from the first snapshot or resume on: from then on, errors never end the subscription lightly.
    established: bool,
    /// Set while the registry cannot be reached.
    stale_since: Option<Instant>,
    /// Which list was asked for last, when the last attempt was made: who has come since then has not been tried for.
    asked: u64,
    /// When the server last said anything.
    heard: Instant,
    /// True when the last watch found its history gone; a second time in a row is no reason for haste.
    gone: bool,
    reconcile_at: Instant,
}

impl Recovery {
    pub(super) fn new(registry: Arc<dyn Registry>, scope: Scope, hub: Arc<Hub>, options: SubscribeOptions) -> Self {
        let backoff = Backoff::new(RETRY_MIN, options.retry_max);
        let reconcile_at = Instant::now() + jitter(options.reconcile_every, 0.2);
        Self {
            registry,
            scope,
            hub,
            options,
            backoff,
            established: false,
            stale_since: None,
            asked: 0,
            heard: Instant::now(),
            gone: false,
            reconcile_at,
        }
    }

    pub(super) async fn run(mut self) {
        let mut state = match self.options.after {
            None => State::Listing(Cause::Initial),
            Some(_) if self.able().resume => State::Opening,
            Some(_) => State::Listing(Cause::Gap(Gap::NoResume)),
        };
        loop {
            state = match state {
                State::Listing(cause) => self.list(cause).await,
                State::Opening => self.open().await,
                State::Watching(batches) => self.watch(batches).await,
                State::BackingOff(error, then) => self.back_off(error, *then).await,
                State::Ended => return,
            }
        }
    }

    /// `Listing`: the whole state is read and told.
    async fn list(&mut self, cause: Cause) -> State {
        let gone = matches!(cause, Cause::Gap(Gap::Compacted | Gap::EpochChanged));
        if gone && std::mem::replace(&mut self.gone, true) {
            tokio::time::sleep(self.backoff.next_wait()).await;
        }
        let asked = self.feed().ask();
        self.asked = asked;
        match limited(CALL_LIMIT, "list", self.registry.list(&self.scope)).await {
            Ok(snapshot) => {
                self.heard = Instant::now();
                self.tell_state(snapshot, cause);
                State::Opening
            }
            Err(error) => State::BackingOff(error, Box::new(State::Listing(cause))),
        }
    }

    /// `Opening`: a watch is opened where the telling stopped.
    async fn open(&mut self) -> State {
        let after = self.told();
        let asked = self.feed().ask();
        self.asked = asked;
        match limited(CALL_LIMIT, "watch", self.registry.watch(&self.scope, after)).await {
            Ok(batches) => {
                if let Some(since) = self.stale_since.take() {
                    let mut feed = self.feed();
                    if self.able().may_have_expired(since.elapsed()) {
                        feed.disturb();
                    }
                    feed.push_resumed();
                }
                self.established = true;
                if self.able().loses_events || !self.feed().view.is_whole() {
                    self.reconcile_at = Instant::now();
                }
                State::Watching(batches)
            }
            Err(error) => self.failed(error),
        }
    }

    /// `Watching`: the watch is read until it fails or leads to a gap.
    async fn watch(&mut self, batches: BatchStream) -> State {
        let opened = Instant::now();
        self.heard = opened;
        let then = self.read(batches).await;
        // What it told does not count: a proxy that resets every connection may let a change through each time.
        if opened.elapsed() > GOOD_WATCH {
            self.backoff.reset();
            self.gone = false;
        }
        then
    }

    /// Tells batches; compares the list from time to time; silence for too long is a failure.
    async fn read(&mut self, mut batches: BatchStream) -> State {
        let static_list = self.able().watch == WatchKind::Static;
        // The list is read beside the watch, never instead of it: a server drops a watcher that does not read.
        let mut listing: Option<Listing> = None;
        let mut audit: Option<Audit> = None;
        let mut newcomers = Newcomers::new(self.options.retry_max);
        if static_list {
            // What never changes is the truth at any time.
            self.feed().begin(u64::MAX);
        }
        loop {
            if let Some(audit) = audit.as_ref().filter(|audit| audit.agrees()) {
                self.feed().begin(audit.asked);
            }
            let busy = listing.is_some() || audit.as_ref().is_some_and(|audit| !audit.agrees());
            let newcomer = !static_list && !busy && newcomers.may_ask() && {
                let asked = audit.as_ref().map_or(0, |audit| audit.asked);
                self.feed().is_awaited(asked)
            };
            let idle_at = self.heard + self.able().idle_limit;
            let settled_at = audit.as_ref().and_then(Audit::settled_at);
            tokio::select! {
                biased;
                item = next(&mut batches) => {
                    let batch = match item {
                        Some(Ok(batch)) => batch,
                        Some(Err(error)) => return self.failed(error),
                        None => return self.failed(ended(&self.scope)),
                    };
                    self.heard = Instant::now();
                    let (before, told) = (self.told(), batch.index);
                    if !told.same_epoch(before) {
                        return State::Listing(Cause::Gap(Gap::EpochChanged));
                    }
                    // A list that was newer than the watch has told it already.
                    if told.position() <= before.position() {
                        continue;
                    }
                    if let Some(audit) = &mut audit {
                        audit.tell(&batch);
                    }
                    if !self.feed().push_batch(batch) {
                        return State::Listing(Cause::Gap(Gap::Lagged));
                    }
                    if let Some(audit) = audit.take_if(|audit| audit.is_reached(told)) {
                        self.settle(audit);
                    }
                    // Those who were told go first: asking for what comes next may be work.
                    yield_now().await;
                }
                () = at(settled_at) => {
                    if !self.feed().view.is_whole() {
                        // Nobody knows what was there before, so the list cannot show what changed since.
                        return State::Listing(Cause::Gap(Gap::Lagged));
                    }
                    if let Some(audit) = audit.take() {
                        self.settle(audit);
                    }
                }
                listed = finished(&mut listing) => {
                    listing = None;
                    match (listed, &mut audit) {
                        (Ok(listed), Some(begun)) if is_before(listed.index, begun.asked_at()) => {
                            return State::Listing(Cause::Gap(Gap::EpochChanged));
                        }
                        (Ok(listed), Some(begun)) => {
                            let feed = self.feed();
                            // A resumed view needs the changes themselves: it waits for them as long as for any word.
                            let patience = if feed.view.is_whole() { SETTLE } else { self.able().idle_limit };
                            begun.list(listed, &feed.view, Instant::now() + patience);
                        }
                        // The watch itself is alive; the comparison is made up for at the next turn.
                        (Err(error), begun) => {
                            tracing::debug!(scope = %self.scope, %error, "could not read the list to compare");
                            let asked = begun.take().map_or(0, |begun| begun.asked);
                            let wait = newcomers.wait();
                            self.delay(asked, &error, wait);
                        }
                        (Ok(_), None) => {}
                    }
                    let told = self.told();
                    if let Some(audit) = audit.take_if(|audit| audit.is_reached(told)) {
                        self.settle(audit);
                    }
                }
                () = self.hub.joined.notified() => {}
                () = at(newcomers.retry_at) => newcomers.retry_at = None,
                // A newcomer needs a list that is asked for now; comparing it is done for all.
                () = sleep_until(if newcomer { Instant::now() } else { self.reconcile_at }),
                    if !static_list && (newcomer || audit.is_none()) =>
                {
                    self.reconcile_at = Instant::now() + jitter(self.options.reconcile_every, 0.2);
                    let (registry, scope) = (Arc::clone(&self.registry), self.scope.clone());
                    let mut feed = self.feed();
                    let asked = feed.ask();
                    audit = Some(Audit::begin(&feed.view, self.able().watch, asked));
                    drop(feed);
                    listing = Some(Box::pin(async move { limited(CALL_LIMIT, "list", registry.list(&scope)).await }));
                }
                () = sleep_until(idle_at), if !static_list => return self.failed(silent(&self.scope, self.able().idle_limit)),
            }
        }
    }

    /// `BackingOff`: says so, waits, and goes on.
    async fn back_off(&mut self, error: Error, then: State) -> State {
        // A directory that has grown beyond what can be read may shrink again.
        let refused = error.is_refusal() || error.kind() == ErrorKind::TooLarge;
        let mendable = error.is_transient() || (refused && self.established);
        if !mendable {
            self.feed().fail(&error);
            return State::Ended;
        }
        if refused {
            // To who has no state yet this is the beginning, and no interruption.
            self.feed().refuse(self.asked, &error);
        }
        let wait = if refused { jitter(REFUSED_WAIT, 0.5) } else { self.backoff.next_wait() };
        let since = *self.stale_since.get_or_insert(self.heard);
        tracing::debug!(scope = %self.scope, %error, ?wait, "the registry cannot be read; what is known is kept");
        self.feed().push_interrupted(|| interrupted(&error, wait, since));
        let until = Instant::now() + wait;
        // Who comes meanwhile does not wait for what others have met.
        while !self.feed().is_awaited(self.asked) {
            tokio::select! {
                biased;
                () = sleep_until(until) => break,
                () = self.hub.reachable.notified(), if !refused => break,
                () = self.hub.joined.notified() => {}
            }
        }
        then
    }

    /// The list for newcomers could not be read, while the watch lives.
    fn delay(&self, asked: u64, error: &Error, wait: Duration) {
        let mut feed = self.feed();
        if error.is_transient() {
            feed.push_delayed(asked, || interrupted(error, wait, self.heard));
        } else {
            feed.refuse(asked, error);
        }
    }

    /// Where to go after a watch failed.
    fn failed(&mut self, error: Error) -> State {
        if error.kind() == ErrorKind::Compacted {
            return State::Listing(Cause::Gap(Gap::Compacted));
        }
        let then = if self.able().resume { State::Opening } else { State::Listing(Cause::Gap(Gap::NoResume)) };
        State::BackingOff(error, Box::new(then))
    }

    /// Tells a whole state; a history that is another one, or went backwards, is the gap's true cause.
    fn tell_state(&mut self, snapshot: Snapshot, cause: Cause) {
        let cause = match cause {
            Cause::Gap(_) if is_before(snapshot.index, self.told()) => Cause::Gap(Gap::EpochChanged),
            cause => cause,
        };
        self.established = true;
        let since = self.stale_since.take();
        let asked = self.asked;
        let mut feed = self.feed();
        if cause == Cause::Gap(Gap::EpochChanged)
            || since.is_some_and(|since| self.able().may_have_expired(since.elapsed()))
        {
            feed.disturb();
        }
        feed.view.replace(snapshot);
        feed.push_state(cause, asked);
    }

    /// Tells what a list shows and the watch did not. From now on the view is as new as the list.
    fn settle(&mut self, audit: Audit) {
        let asked = audit.asked;
        let mut feed = self.feed();
        let Some(finding) = audit.finish(&feed.view) else { return };
        feed.view.complete(finding.old, finding.index);
        if !finding.lost.is_empty() {
            let count = finding.lost.len();
            tracing::warn!(scope = %self.scope, count, "the watch had missed changes, which the list shows");
            let index = feed.view.index();
            // A view that is whole always finds room.
            feed.push_batch(Batch { changes: finding.lost, index });
        }
        feed.begin(asked);
    }

    /// Up to where the subscriber was told.
    fn told(&self) -> Index {
        self.feed().view.index()
    }

    fn able(&self) -> Capabilities {
        self.registry.capabilities()
    }

    fn feed(&self) -> Locked<'_> {
        self.hub.feed()
    }
}

/// Whatever ended it: nobody must join what is not read any more.
impl Drop for Recovery {
    fn drop(&mut self) {
        self.feed().end();
    }
}

/// When a list for who has come while the watch runs may be asked for again.
struct Newcomers {
    backoff: Backoff,
    retry_at: Option<Instant>,
}

impl Newcomers {
    fn new(retry_max: Duration) -> Self {
        Self { backoff: Backoff::new(RETRY_MIN, retry_max), retry_at: None }
    }

    fn may_ask(&self) -> bool {
        self.retry_at.is_none()
    }

    /// A list could not be read.
    fn wait(&mut self) -> Duration {
        let wait = self.backoff.next_wait();
        self.retry_at = Some(Instant::now() + wait);
        wait
    }
}

fn interrupted(error: &Error, retry_in: Duration, since: Instant) -> Event {
    Event::Interrupted { error: error.clone(), retry_in, stale_since: since.into_std() }
}

async fn next(batches: &mut BatchStream) -> Option<Result<Batch>> {
    std::future::poll_fn(|context| Pin::new(&mut *batches).poll_next(context)).await
}

type Listing = Pin<Box<dyn Future<Output = Result<Snapshot>> + Send>>;

async fn finished(listing: &mut Option<Listing>) -> Result<Snapshot> {
    match listing {
        Some(listing) => listing.await,
        None => pending().await,
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}

fn ended(scope: &Scope) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the server ended the watch of {scope}")).during("watch")
}

fn silent(scope: &Scope, limit: Duration) -> Error {
    Error::new(ErrorKind::Timeout, format!("the watch of {scope} was silent for {limit:?}")).during("watch")
}

/// True when a list belongs to another history, or to one that went backwards.
fn is_before(listed: Index, told: Index) -> bool {
    !listed.same_epoch(told) || listed.position() < told.position()
}
