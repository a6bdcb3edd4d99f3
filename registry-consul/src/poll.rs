//! Looking at a scope: once, or again and again for everybody in this process who watches it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use registry_core::{Capabilities, Error, ErrorKind, Index, Name, Result, Scope, WatchKind, async_trait};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use crate::error::again;
use crate::state::{Record, State};

/// A query begins no sooner than this after the one before: one busy key in a large directory would otherwise make every
/// watcher download all of it a hundred times a second.
const INTERVAL: Duration = Duration::from_millis(250);
/// How long a query waits for a change. The server adds up to a sixteenth.
pub(crate) const WAIT: Duration = Duration::from_secs(10);
/// The last lists of a scope that are remembered, so that a watch can begin where one of them was made.
const LISTS: usize = 3;
/// A list that no watch followed for so long is forgotten.
const FORGET: Duration = Duration::from_secs(30);

/// What both registries can do: Consul ends nothing sooner than after 10 s, and whoever looks at states knows no history.
pub(crate) fn able() -> Capabilities {
    let mut able = Capabilities::full();
    able.ttl_min = Duration::from_secs(10);
    able.ttl_slack = Duration::from_secs(3);
    able.watch = WatchKind::States;
    able.resume = false;
    able.removal_reasons = false;
    able
}

/// What a registry looks at.
#[async_trait]
pub(crate) trait Face: fmt::Debug + Send + Sync + 'static {
    /// Reads the whole scope and where the server's view of it stands. With `after`, the server answers when its view is
    /// beyond that, or after [`WAIT`].
    async fn look(&self, scope: &Scope, after: Option<u64>) -> Result<(u64, BTreeMap<Name, Record>)>;
}

/// What the watchers of one scope are told.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    State(Arc<State>),
    Failed(Arc<Error>),
}

/// One query after the other. It ends when nobody holds it any more.
#[derive(Debug)]
pub(crate) struct Poll {
    pub(crate) told: watch::Receiver<Told>,
    task: AbortHandle,
}

impl Drop for Poll {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is known of one scope.
#[derive(Debug)]
struct Known {
    epoch: u64,
    /// The farthest that the server's view stood, in this epoch.
    highest: u64,
    lists: VecDeque<Arc<State>>,
    /// What was there at the last look.
    latest: Option<Arc<State>>,
    used: Instant,
    poll: Weak<Poll>,
}

impl Known {
    fn new() -> Self {
        Self { epoch: 1, highest: 0, lists: VecDeque::new(), latest: None, used: Instant::now(), poll: Weak::new() }
    }
}

#[derive(Debug)]
pub(crate) struct Polls {
    face: Arc<dyn Face>,
    scopes: Mutex<HashMap<Scope, Known>>,
}

impl Polls {
    pub(crate) fn new(face: Arc<dyn Face>) -> Arc<Self> {
        Arc::new(Self { face, scopes: Mutex::default() })
    }

    /// Looks once, and remembers it for a watch that may follow.
    pub(crate) async fn list(&self, scope: &Scope) -> Result<Arc<State>> {
        let state = self.look(scope, None).await?;
        let mut scopes = self.scopes();
        let now = Instant::now();
        for known in scopes.values_mut().filter(|known| now.duration_since(known.used) > FORGET) {
            known.lists.clear();
            known.latest = None;
        }
        scopes.retain(|_, known| known.poll.strong_count() > 0 || now.duration_since(known.used) <= FORGET);
        let known = scopes.entry(scope.clone()).or_insert_with(Known::new);
        known.used = now;
        // A watch begins at the newest list of a point.
        known.lists.retain(|list| list.point() != state.point());
        known.lists.push_back(Arc::clone(&state));
        if known.lists.len() > LISTS {
            known.lists.pop_front();
        }
        Ok(state)
    }

    /// Looks, and sees whether the history went backwards: after a restart with nothing, a restore, or when the server
    /// forgot what it remembered of deleted keys. Something else at the same index is another history as well: the index does
    /// not move with what the token may see.
    async fn look(&self, scope: &Scope, after: Option<u64>) -> Result<Arc<State>> {
        let asked = {
            let mut scopes = self.scopes();
            let known = scopes.entry(scope.clone()).or_insert_with(Known::new);
            (known.epoch, known.highest)
        };
        let (index, entries) = self.face.look(scope, after).await?;
        let mut scopes = self.scopes();
        let known = scopes.entry(scope.clone()).or_insert_with(Known::new);
        let mut state = State { epoch: known.epoch, index, entries };
        let is_other = |latest: &Arc<State>| latest.point() == state.point() && !latest.changes(&state).is_empty();
        // Compared with what was known when it was asked for: answers overtake each other.
        if known.epoch == asked.0 && (index < asked.1 || known.latest.as_ref().is_some_and(is_other)) {
            known.epoch += 1;
            known.highest = index;
            state.epoch = known.epoch;
        }
        known.highest = known.highest.max(index);
        known.used = Instant::now();
        let state = Arc::new(state);
        if index == known.highest {
            known.latest = Some(Arc::clone(&state));
        }
        Ok(state)
    }

    /// The poll of a scope: the one that runs, or a new one, which has looked once when this returns.
    pub(crate) async fn join(self: &Arc<Self>, scope: &Scope) -> Result<Arc<Poll>> {
        if let Some(poll) = self.running(scope) {
            return Ok(poll);
        }
        let first = self.look(scope, None).await?;
        // Somebody else may have been faster.
        let mut scopes = self.scopes();
        let known = scopes.entry(scope.clone()).or_insert_with(Known::new);
        if let Some(poll) = known.poll.upgrade().filter(|poll| poll.is_running()) {
            return Ok(poll);
        }
        let (tell, told) = watch::channel(Told::State(Arc::clone(&first)));
        let task = tokio::spawn(run(Arc::clone(self), scope.clone(), first, tell)).abort_handle();
        let poll = Arc::new(Poll { told, task });
        known.poll = Arc::downgrade(&poll);
        Ok(poll)
    }

    fn running(&self, scope: &Scope) -> Option<Arc<Poll>> {
        self.scopes().get(scope)?.poll.upgrade().filter(|poll| poll.is_running())
    }

    /// What a scope held at a point, if that is still known.
    pub(crate) fn state_at(&self, scope: &Scope, poll: &Poll, after: Index) -> Option<Arc<State>> {
        let latest = match &*poll.told.borrow() {
            Told::State(state) => Some(Arc::clone(state)),
            Told::Failed(_) => None,
        };
        let scopes = self.scopes();
        let lists = scopes.get(scope).into_iter().flat_map(|known| known.lists.iter().rev().cloned());
        let is_at = |state: &Arc<State>| state.index == after.position() && state.point().same_epoch(after);
        lists.chain(latest).find(is_at)
    }

    fn scopes(&self) -> MutexGuard<'_, HashMap<Scope, Known>> {
        self.scopes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Poll {
    fn is_running(&self) -> bool {
        matches!(*self.told.borrow(), Told::State(_)) && self.told.has_changed().is_ok()
    }
}

/// Looks again and again, until something fails.
async fn run(polls: Arc<Polls>, scope: Scope, mut last: Arc<State>, tell: watch::Sender<Told>) {
    loop {
        let next = Instant::now() + INTERVAL;
        match polls.look(&scope, Some(last.index)).await {
            // Told also when nothing has changed: it is a sign of life.
            Ok(state) => {
                last = Arc::clone(&state);
                tell.send_replace(Told::State(state));
            }
            Err(error) => {
                tell.send_replace(Told::Failed(Arc::new(again(&error))));
                return;
            }
        }
        sleep_until(next).await;
    }
}

/// The error for a view that the server does not place in its history.
pub(crate) fn without_index(endpoint: &str, about: &str) -> Error {
    Error::new(
        ErrorKind::Unexpected,
        format!("{endpoint}: {about}: the answer does not say where the history stands: it is not one of Consul"),
    )
}
