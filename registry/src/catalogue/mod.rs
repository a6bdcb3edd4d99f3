//! The members of a cluster, as they are known now.

mod members;
mod task;

use std::sync::Arc;
use std::time::Duration;

use registry_core::{DEFAULT_GRACE, Error, Registry, RegistryExt, Result, Scope, SubscribeOptions, Suppressed};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::instance::Codec;
pub use members::Members;
use task::Task;

/// The members of a scope, kept up to date in the background: what a client looks at before each request.
///
/// Reading is one short lock and never waits for the registry. A snapshot replaces the members at once, so a reader sees
/// the state before it or after it, and nothing in between. Clones share one subscription, which ends with the last of
/// them.
///
/// *An outage changes nothing*: the members stay as they were, and [`stale_for`](Catalogue::stale_for) says for how long.
/// After it, members that may have expired because they could not renew stay for a [grace](SubscribeOptions::grace) of
/// [`DEFAULT_GRACE`], in which the living ones come back; [`follow_with`](Catalogue::follow_with) sets another one.
///
/// *A member is not lost to a bad value*: an entry that does not decode is reported with `tracing::warn!`, counted in
/// [`Members::rejected`], and keeps the last good value of the same registration; without one it is left out. Entries
/// that lie deeper than the scope are no members.
///
/// ```no_run
/// # async fn example() -> registry::Result<()> {
/// use registry::{Catalogue, Dir, Json};
/// let registry = registry::connect("sqlite:")?;
/// let web = Catalogue::follow(&registry, Dir::new("/clusters/web")?, Json);
/// for (name, instance) in &web.ready().await? {
///     println!("{name} is at {}", instance.authority());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Catalogue<T> {
    scope: Scope,
    state: watch::Receiver<State<T>>,
    suppressed: watch::Receiver<Option<Suppressed>>,
    /// The members that [`changed`](Catalogue::changed) returned last.
    seen: u64,
}

/// What is known at one moment.
#[derive(Debug)]
struct State<T> {
    members: Members<T>,
    standing: Standing,
    /// Until when `members` was the truth; `None` while it is.
    stale_since: Option<Instant>,
    error: Option<Arc<Error>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Nothing was told yet.
    Unknown,
    Known,
    /// Nothing was told, and nothing will be.
    Failed,
}

impl<T: Clone + PartialEq + Send + Sync + 'static> Catalogue<T> {
    /// Follows a scope. Runs on the current tokio runtime.
    pub fn follow<R: Registry + ?Sized>(
        registry: &Arc<R>,
        scope: impl Into<Scope>,
        codec: impl Codec<Item = T>,
    ) -> Self {
        Self::follow_with(registry, scope, codec, SubscribeOptions::new().grace(DEFAULT_GRACE))
    }

    /// Follows a scope in another than the usual way. A point to resume from is left out: a catalogue needs the whole
    /// state.
    pub fn follow_with<R: Registry + ?Sized>(
        registry: &Arc<R>,
        scope: impl Into<Scope>,
        codec: impl Codec<Item = T>,
        mut options: SubscribeOptions,
    ) -> Self {
        options.after = None;
        let scope = scope.into();
        let subscription = registry.subscribe_with(scope.clone(), options);
        let suppressed = subscription.suppressed();
        let (sender, state) = watch::channel(State {
            members: Members::default(),
            standing: Standing::Unknown,
            stale_since: Some(Instant::now()),
            error: None,
        });
        tokio::spawn(Task::new(scope.clone(), codec, sender).run(subscription));
        Self { scope, state, suppressed, seen: 0 }
    }

    /// What this follows.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Waits until the members are known, and returns them. While the registry cannot be reached it goes on waiting, so
    /// set a time limit around it where that matters. Cancel safe.
    ///
    /// # Errors
    /// Only what trying again cannot mend, before anything was known: bad credentials, invalid input.
    pub async fn ready(&self) -> Result<Members<T>> {
        let mut state = self.state.clone();
        let known = state.wait_for(|state| state.standing != Standing::Unknown).await;
        // The task ends before it knows anything only with its runtime.
        let Ok(state) = known else { return std::future::pending().await };
        match (state.standing, &state.error) {
            (Standing::Failed, Some(error)) => {
                Err(Error::new(error.kind(), "the members cannot be read").because(Arc::clone(error)))
            }
            _ => Ok(state.members.clone()),
        }
    }

    /// The members as they are known now; none before the first are known.
    pub fn members(&self) -> Members<T> {
        self.state.borrow().members.clone()
    }

    /// Waits until there are other members than this handle has returned from here before, and returns them; the first
    /// time as soon as they are known. States in between may be skipped, the last one never. Pending for as long as
    /// nothing changes, whatever happens to the registry. Cancel safe.
    pub async fn changed(&mut self) -> Members<T> {
        let seen = self.seen;
        let Ok(state) = self.state.wait_for(|state| state.members.version() > seen).await else {
            return std::future::pending().await;
        };
        let members = state.members.clone();
        drop(state);
        self.seen = members.version();
        members
    }

    /// How long ago the members were the truth: `None` while they are, as far as anyone can know; counted from the
    /// beginning before anything was known; growing for ever after a permanent error.
    pub fn stale_for(&self) -> Option<Duration> {
        self.state.borrow().stale_since.map(|since| since.elapsed())
    }

    /// Members that are gone in the registry and still here, because they are probably alive: see
    /// [`SubscribeOptions::grace`].
    pub fn suppressed(&self) -> Option<Suppressed> {
        *self.suppressed.borrow()
    }

    /// What happened last, while the members are stale.
    pub fn error(&self) -> Option<Arc<Error>> {
        self.state.borrow().error.clone()
    }
}

impl<T> Clone for Catalogue<T> {
    fn clone(&self) -> Self {
        let (scope, state, suppressed) = (self.scope.clone(), self.state.clone(), self.suppressed.clone());
        Self { scope, state, suppressed, seen: self.seen }
    }
}
