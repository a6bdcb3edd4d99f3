//! Who subscribes to the same scope on the same handle shares one watch.

use std::collections::HashMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::Waker;
use std::time::Duration;

use tokio::runtime::{self, Handle};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::SubscribeOptions;
use super::feed::Feed;
use super::recovery::Recovery;
use super::view::View;
use crate::name::Scope;
use crate::registry::Registry;

/// The feeds that can be joined. Those that are over are replaced by the next subscriber, or removed by their last one.
static OPEN: LazyLock<Mutex<HashMap<Topic, Weak<Hub>>>> = LazyLock::new(Mutex::default);

/// What subscribers must have in common to share a feed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Topic {
    /// Where the handle of the registry lies. A feed keeps it alive, so that no other one can lie there meanwhile.
    handle: usize,
    /// A feed ends with the runtime that it runs on.
    runtime: runtime::Id,
    scope: Scope,
    reconcile_every: Duration,
    retry_max: Duration,
}

/// A feed, and the task that reads the registry for it.
pub(super) struct Hub {
    feed: Mutex<Feed>,
    /// Somebody has joined.
    pub(super) joined: Notify,
    /// The registry has answered somebody else.
    pub(super) reachable: Notify,
    topic: Option<Topic>,
    task: OnceLock<AbortHandle>,
    /// Held for as long as anybody may look for the topic.
    _handle: Arc<dyn Registry>,
}

impl Hub {
    /// Joins the feed of what is to be read, or begins one. `handle` is where the caller's registry lies.
    pub(super) fn join(
        registry: Arc<dyn Registry>,
        handle: usize,
        scope: Scope,
        options: SubscribeOptions,
    ) -> (Arc<Self>, u64) {
        if let Some(after) = options.after {
            // What others have been told already may be news to who resumes.
            return Self::begin(registry, None, scope, View::resumed(after), options);
        }
        let SubscribeOptions { reconcile_every, retry_max, .. } = options;
        let runtime = Handle::current().id();
        let topic = Topic { handle, runtime, scope: scope.clone(), reconcile_every, retry_max };
        let mut open = unpoisoned(&OPEN);
        if let Some(hub) = open.get(&topic).and_then(Weak::upgrade) {
            let number = hub.feed().join(false, options.bound);
            if let Some(number) = number {
                hub.joined.notify_one();
                return (hub, number);
            }
        }
        let (hub, number) = Self::begin(registry, Some(topic.clone()), scope, View::default(), options);
        open.insert(topic, Arc::downgrade(&hub));
        (hub, number)
    }

    /// Begins a feed from what is known already; without a topic, nobody can join it.
    pub(super) fn begin(
        registry: Arc<dyn Registry>,
        topic: Option<Topic>,
        scope: Scope,
        view: View,
        options: SubscribeOptions,
    ) -> (Arc<Self>, u64) {
        let mut feed = Feed::new(view);
        let number = feed.join(options.after.is_some(), options.bound).expect("nobody has ended it");
        let (joined, reachable, task) = (Notify::new(), Notify::new(), OnceLock::new());
        let hub =
            Arc::new(Self { feed: Mutex::new(feed), joined, reachable, topic, task, _handle: Arc::clone(&registry) });
        let recovery = Recovery::new(registry, scope, Arc::clone(&hub), options);
        let task = tokio::spawn(recovery.run()).abort_handle();
        hub.task.set(task).expect("it is set here only");
        (hub, number)
    }

    pub(super) fn feed(&self) -> Locked<'_> {
        Locked { feed: unpoisoned(&self.feed), awake: Awake::default() }
    }

    /// The last one to leave ends the watch.
    pub(super) fn leave(&self, number: u64) {
        if !self.feed().leave(number) {
            return;
        }
        if let Some(task) = self.task.get() {
            task.abort();
        }
        if let Some(topic) = &self.topic {
            let mut open = unpoisoned(&OPEN);
            // Somebody may have begun another one meanwhile.
            if open.get(topic).is_some_and(|hub| std::ptr::eq(hub.as_ptr(), self)) {
                open.remove(topic);
            }
        }
    }
}

/// The feed, while nobody else has it. Whoever is told something is woken after that: he needs the feed himself.
pub(super) struct Locked<'a> {
    feed: MutexGuard<'a, Feed>,
    /// Dropped after the guard, for it stands after it.
    awake: Awake,
}

impl Deref for Locked<'_> {
    type Target = Feed;

    fn deref(&self) -> &Feed {
        &self.feed
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Feed {
        &mut self.feed
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.awake.0 = self.feed.awake();
    }
}

/// Woken when this is dropped.
#[derive(Default)]
struct Awake(Vec<Waker>);

impl Drop for Awake {
    fn drop(&mut self) {
        self.0.drain(..).for_each(Waker::wake);
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// Nothing in the critical sections panics half-way, so a poisoned lock still guards a sound state.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
