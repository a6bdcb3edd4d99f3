//! A line in which whoever comes first is served first: what a lock and an election have in common.
//!
//! Each contender registers an entry of its own below one directory, and the first `permits` of them, in the order in
//! which they were created, have their turn. Nobody decides, so nobody can hand out a turn that is not there: the server's
//! order of creations is the decision, and the creation of the own entry is the fencing token.

mod place;

use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use registry_core::{
    Backoff, Bytes, Condition, Dir, Error, ErrorKind, Event, Index, RegisterOptions, Registration, Registry,
    RegistryExt, Result, State,
};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use uuid::Uuid;

use place::Place;
pub(crate) use place::is_before;

/// Between two attempts to confirm a place in the line.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(1);
/// The longest wait between two attempts of who was in the line and is refused now.
const REFUSED_MAX: Duration = Duration::from_secs(10);
/// How long an answer may take on which nothing but good order depends.
const PARTING: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) dir: Dir,
    pub(crate) permits: NonZeroUsize,
    pub(crate) ttl: Option<Duration>,
    /// How long to wait for a turn; for ever when it is not given.
    pub(crate) patience: Option<Duration>,
}

impl Line {
    pub(crate) fn new<R: Registry + ?Sized>(registry: Arc<R>, dir: Dir) -> Self {
        Self { registry: Arc::new(registry), dir, permits: NonZeroUsize::MIN, ttl: None, patience: None }
    }

    /// Waits for a turn, for as long as the patience lasts. Who loses its place while it waits stands in line again, at the
    /// end. `None`: somebody gave up, and the place was given back before this returned.
    pub(crate) async fn turn(&self, value: Bytes, giving_up: impl Future<Output = ()>) -> Result<Option<Turn>> {
        self.check()?;
        let deadline = self.patience.map(|patience| Instant::now() + patience);
        let mut giving_up = pin!(giving_up);
        let (mut accepted, mut refusals) = (false, Backoff::new(RETRY_MAX, REFUSED_MAX));
        loop {
            let mut entering = pin!(self.enter(value.clone()));
            let entered = tokio::select! {
                biased;
                entered = &mut entering => Some(entered),
                () = &mut giving_up => None,
                () = late(deadline.map(|deadline| deadline + PARTING)) => return Err(self.too_late()),
            };
            let entered = match entered {
                Some(Err(error)) if accepted && error.is_refusal() => {
                    tracing::debug!(dir = %self.dir, %error, "refused while waiting; trying again");
                    tokio::select! {
                        () = sleep(refusals.next_wait()) => continue,
                        () = &mut giving_up => return Ok(None),
                        () = late(deadline) => return Err(self.too_late()),
                    }
                }
                entered => entered.transpose()?,
            };
            let Some(mut turn) = entered else {
                // The answer may be on its way: what it says must not stay behind.
                if let Ok(Ok(turn)) = timeout(PARTING, entering).await {
                    self.leave(turn).await;
                }
                return Ok(None);
            };
            let waited = tokio::select! {
                biased;
                waited = self.wait(&turn, deadline, &mut accepted) => waited?,
                () = &mut giving_up => Waited::Enough,
            };
            match waited {
                Waited::Turn(token) => {
                    turn.token = token;
                    return Ok(Some(turn));
                }
                Waited::Lost => {}
                Waited::Late => {
                    self.leave(turn).await;
                    return Err(self.too_late());
                }
                Waited::Enough => {
                    self.leave(turn).await;
                    return Ok(None);
                }
            }
        }
    }

    /// Gives a place back. When that cannot be told, the time to live does it.
    async fn leave(&self, turn: Turn) {
        if let Err(error) = turn.release().await {
            tracing::debug!(dir = %self.dir, %error, "could not leave the line");
        }
    }

    pub(crate) fn too_late(&self) -> Error {
        let patience = self.patience.unwrap_or_default();
        Error::new(ErrorKind::Timeout, format!("{} was not free within {patience:?}", self.dir))
    }

    fn check(&self) -> Result<()> {
        if self.registry.capabilities().conditions {
            return Ok(());
        }
        let scheme = self.registry.info().scheme;
        Err(Error::unsupported(format!("{scheme} cannot register conditionally, so it has no locks")))
    }

    /// Stands in line. A name of its own each time: nobody is mistaken for somebody who was there before.
    async fn enter(&self, value: Bytes) -> Result<Turn> {
        loop {
            let key = self.dir.key(&Uuid::new_v4().simple().to_string())?;
            // Coming back with another token would be another turn.
            let mut options = RegisterOptions::new().condition(Condition::Absent).single_ownership().watch_directory();
            options.ttl = self.ttl;
            let registration = self.registry.announce(key, value.clone(), options).await?;
            // An answer that came too late for its own time to live: nothing is known to stand.
            if let Some(owned) = registration.token() {
                return Ok(Turn { registration, owned, token: owned, over: AtomicBool::new(false) });
            }
        }
    }

    /// Waits until it is this one's turn. However little patience there is, it looks once: a lock that is free is had.
    ///
    /// Who is refused has come in vain, unless the line was seen before: then it was `accepted`, and may be again.
    async fn wait(&self, turn: &Turn, deadline: Option<Instant>, accepted: &mut bool) -> Result<Waited> {
        let mut place = Place::new(turn.registration.key().name(), turn.owned);
        let mut events = self.registry.subscribe(&self.dir);
        let mut until = deadline.map(|deadline| deadline.max(Instant::now() + PARTING));
        let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX);
        let mut refusals = Backoff::new(RETRY_MAX, REFUSED_MAX);
        loop {
            if let Some(token) = place.turn(self.permits.get()).filter(|_| turn.held()) {
                // The events are older than now. A server that ends leases of living owners may have ended the
                // predecessor's, and then this one's: so the entry is looked for once more before anybody acts on it.
                let until = until.map(|until| until.max(Instant::now() + PARTING));
                let checked = tokio::select! {
                    biased;
                    () = turn.lost() => return self.place_lost(turn).await,
                    checked = turn.check() => checked,
                    () = late(until) => return Ok(Waited::Late),
                };
                let Err(error) = checked else { return Ok(Waited::Turn(token)) };
                tracing::debug!(dir = %self.dir, %error, "cannot confirm the place in the line yet");
                tokio::select! {
                    biased;
                    () = turn.lost() => return self.place_lost(turn).await,
                    () = sleep(backoff.next_wait()) => continue,
                }
            }
            tokio::select! {
                biased;
                () = turn.lost() => return self.place_lost(turn).await,
                event = events.next() => match event {
                    Some(Ok(event)) => {
                        if matches!(event, Event::Snapshot { .. }) {
                            (until, *accepted) = (deadline, true);
                        }
                        place.take(&event);
                    }
                    Some(Err(error)) if *accepted && error.is_refusal() => {
                        tracing::debug!(dir = %self.dir, %error, "refused while waiting; watching again");
                        tokio::select! {
                            () = turn.lost() => return self.place_lost(turn).await,
                            () = sleep(refusals.next_wait()) => events = self.registry.subscribe(&self.dir),
                            () = late(until) => return Ok(Waited::Late),
                        }
                    }
                    Some(Err(error)) => return Err(error),
                    None => return Err(Error::new(ErrorKind::Unavailable, format!("the watch of {} ended", self.dir))),
                },
                () = late(until) => return Ok(Waited::Late),
            }
        }
    }

    /// The entry is gone while it waited: it waits again at the end of the line, unless somebody removed it.
    async fn place_lost(&self, turn: &Turn) -> Result<Waited> {
        match turn.loss().await {
            loss if loss.kind() == ErrorKind::LeaseLost => {
                tracing::debug!(dir = %self.dir, error = %loss, "lost the place in the line; waiting again");
                Ok(Waited::Lost)
            }
            loss => Err(loss),
        }
    }
}

/// What came of waiting.
enum Waited {
    /// It is this one's turn, with this token.
    Turn(Index),
    /// The place in the line was lost.
    Lost,
    /// The patience is over.
    Late,
    /// Somebody gave up.
    Enough,
}

/// Returns when it is too late; never without a limit.
async fn late(limit: Option<Instant>) {
    match limit {
        Some(limit) => sleep_until(limit).await,
        None => std::future::pending().await,
    }
}

/// The first place in the line, or one of the first.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) registration: Registration,
    /// What the registration knows its ownership by.
    owned: Index,
    /// The place in the line.
    token: Index,
    /// What was lost once is lost.
    over: AtomicBool,
}

impl Turn {
    pub(crate) fn token(&self) -> Index {
        self.token
    }

    pub(crate) fn held(&self) -> bool {
        let held = !self.over.load(Ordering::Acquire) && self.registration.token() == Some(self.owned);
        if !held {
            self.over.store(true, Ordering::Release);
        }
        held
    }

    pub(crate) async fn lost(&self) {
        self.lost_within(Duration::ZERO).await;
        self.over.store(true, Ordering::Release);
    }

    pub(crate) async fn lost_within(&self, margin: Duration) -> Instant {
        if self.over.load(Ordering::Acquire) {
            return Instant::now();
        }
        self.registration.lost_within(self.owned, margin).await
    }

    /// Why it is not held any more, when the registry has said it or has had some time for that.
    pub(crate) async fn loss(&self) -> Error {
        let _ = timeout(PARTING, self.registration.check()).await;
        let key = self.registration.key();
        let status = self.registration.status();
        let gone = status
            .error
            .as_ref()
            .is_some_and(|error| matches!(error.kind(), ErrorKind::LeaseLost | ErrorKind::Conflict));
        let (kind, what) = match status.state {
            State::Evicted => (ErrorKind::Evicted, "somebody removed the entry"),
            _ if gone => (ErrorKind::LeaseLost, "its entry is gone"),
            _ => (ErrorKind::LeaseLost, "it could not be renewed in time"),
        };
        let error = Error::new(kind, format!("{key}: {what}"));
        status.error.into_iter().fold(error, Error::because)
    }

    /// Asks the server.
    pub(crate) async fn check(&self) -> Result<()> {
        if !self.held() {
            return Err(self.loss().await);
        }
        self.registration.check().await?;
        if self.held() { Ok(()) } else { Err(self.loss().await) }
    }

    pub(crate) async fn release(self) -> Result<()> {
        self.registration.deregister().await
    }
}
