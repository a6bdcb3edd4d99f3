//! A registration that is kept until it is given back.

mod keeper;
mod own_entry;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::clock::Moment;
use crate::error::{Error, ErrorKind, Result};
use crate::index::Index;
use crate::lease::Lease;
use crate::limit::limited;
use crate::name::Key;
use crate::options::{RegisterOptions, check_value};
use crate::registry::Registry;
use keeper::{CALL_LIMIT, Command, Keeper, aborted};

/// How a registration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// The entry stands, as far as anyone can know: the last renewal is younger than its time to live.
    Held {
        /// The fencing token of this ownership.
        token: Index,
    },
    /// The last renewal failed; the time to live has not run out yet.
    Renewing,
    /// The entry may be gone, or is. It is registered again as soon as that is possible, unless the options ask for a
    /// single ownership.
    Lost,
    /// Somebody removed the entry while its lease lived. Final: the service should stop.
    Evicted,
    /// The name belongs to somebody else, or the registry refuses us. It is tried again.
    Refused,
    /// It was given back. Final.
    Released,
}

/// A state and what led to it.
#[derive(Clone, Debug)]
pub struct Status {
    /// How it stands.
    pub state: State,
    /// The last error since it was held.
    pub error: Option<Arc<Error>>,
    /// The lease, while the entry may be held.
    pub lease: Option<Lease>,
    /// Until when the entry is certain to stand, if nobody removes it: the time the last good renewal was *sent*, plus
    /// the time to live, less a margin. It moves on with every renewal, of which a watch of the status does not hear. Time in
    /// which the machine is suspended counts.
    pub held_until: Option<Moment>,
}

impl Status {
    /// True when nothing will change any more.
    pub fn is_final(&self) -> bool {
        matches!(self.state, State::Evicted | State::Released)
    }

    /// The fencing token, while the entry is certain to stand. A look at the clock decides: a process that was frozen
    /// for longer than its time to live, alone or with its whole machine, finds out here, before the keeper has had a chance to.
    pub fn held(&self) -> Option<Index> {
        let stands = matches!(self.state, State::Held { .. } | State::Renewing);
        let in_time = self.held_until.is_some_and(|until| !until.is_over());
        self.lease.as_ref().filter(|_| stands && in_time).map(Lease::token)
    }
}

/// A registration that is renewed, and registered again when it was lost, until it is released or evicted.
///
/// Dropping it releases the entry as well as that can be done in the background; the time to live is the backstop.
#[derive(Debug)]
pub struct Registration {
    registry: Arc<dyn Registry>,
    key: Key,
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<Status>,
    /// Tells of the first time that the entry stands. `None` when it was told.
    first: Option<oneshot::Receiver<Result<()>>>,
}

impl Registration {
    /// Starts the keeper on the current tokio runtime, which registers.
    pub(crate) fn begin(
        registry: Arc<dyn Registry>,
        handle: usize,
        key: Key,
        value: Bytes,
        options: RegisterOptions,
    ) -> Result<Self> {
        let ttl = options.check(&registry.capabilities(), &key, &value).map_err(|error| error.during("register"))?;
        let (commands, inbox) = mpsc::channel(8);
        let (status, seen) = watch::channel(Status { state: State::Lost, error: None, lease: None, held_until: None });
        let (ready, first) = oneshot::channel();
        let keeper = Keeper::new(Arc::clone(&registry), handle, key.clone(), value, options, ttl, status, ready);
        tokio::spawn(keeper.run(inbox));
        Ok(Self { registry, key, commands, status: seen, first: Some(first) })
    }

    /// Returns when the entry has come to stand for the first time: at once, when it has before. Cancel safe.
    ///
    /// # Errors
    /// As [`announce`](crate::RegistryExt::announce). Then it is over.
    pub async fn stands(&mut self) -> Result<()> {
        let Some(first) = &mut self.first else { return Ok(()) };
        let result = match first.await {
            Ok(result) => result,
            Err(_) => Err(self.over().await),
        };
        self.first = None;
        result?;
        self.status.mark_unchanged();
        Ok(())
    }

    /// The key that is registered.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// How it stands now.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// A channel that follows the status; the states in between may be skipped, the last one never.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// The fencing token while the entry is held: [`Status::held`] now.
    pub fn token(&self) -> Option<Index> {
        self.status.borrow().held()
    }

    /// Returns when the entry is not certain to stand any more, or not with this token: at the last moment at which
    /// nobody else can have it yet, even when this process was not told anything. Cancel safe.
    pub async fn lost(&self, token: Index) {
        self.lost_within(token, Duration::ZERO).await;
    }

    /// Returns as much as `margin` earlier, when no renewal has moved that moment on by then: for who needs some time to
    /// stop. Returns the moment itself, which is over when the entry was lost in another way. Cancel safe.
    pub async fn lost_within(&self, token: Index, margin: Duration) -> Instant {
        let mut status = self.watch();
        loop {
            let now = status.borrow_and_update().clone();
            let until = now.held_until.filter(|_| now.held() == Some(token));
            let Some(until) = until.filter(|until| until.at() > Instant::now() + margin) else {
                return until.map_or_else(Instant::now, Moment::at);
            };
            tokio::select! {
                biased;
                () = (until - margin).reached() => {}
                changed = status.changed() => if changed.is_err() { return Instant::now() },
            }
        }
    }

    /// Replaces the value. `Ok`: it stands. After a transient error the new value is kept, and written with the next
    /// renewal or registration.
    ///
    /// # Errors
    /// `InvalidInput` for a value that is too large; `Evicted` or `LeaseLost` when it is over; else as the backend says.
    pub async fn update(&self, value: Bytes) -> Result<()> {
        check_value(&self.key, &value)?;
        self.ask(|reply| Command::Update(value, reply)).await
    }

    /// Renews at once, and so finds out how the entry really stands. `Ok`: it is held.
    ///
    /// # Errors
    /// As [`Registry::renew`].
    pub async fn check(&self) -> Result<()> {
        self.ask(Command::Check).await
    }

    /// Gives the entry back: stops renewing, waits for the request in flight, then releases. It cannot delete a
    /// successor's entry. One that does not stand yet never will. The registration is over even when this fails; then the time to live removes the entry.
    ///
    /// # Errors
    /// As the backend says, when it could not be told. [`ErrorKind::Timeout`] also when the entry was only about to stand, and
    /// an attempt to register it had no answer: the registry may have taken it, or take it yet. `Aborted` likewise, when the
    /// task that made the attempt was ended.
    pub async fn deregister(self) -> Result<()> {
        let before = self.status();
        match self.ask(Command::Deregister).await {
            // The keeper ended by itself: evicted or lost for good. There is nothing to give back.
            Err(error) if matches!(error.kind(), ErrorKind::Evicted | ErrorKind::LeaseLost) => Ok(()),
            // The keeper was ended, and the entry may well be there. The request is made here, on the caller's runtime.
            Err(error) if error.kind() == ErrorKind::Aborted => {
                let released = before.lease.filter(|_| matches!(before.state, State::Held { .. } | State::Renewing));
                match self.status().lease.or(released) {
                    Some(lease) => limited(CALL_LIMIT, "deregister", self.registry.deregister(&lease)).await,
                    None => Err(error),
                }
            }
            result => result,
        }
    }

    /// Stops keeping the entry and leaves it where it is, for the rest of its time to live. For who hands an entry over
    /// to a successor, who takes it with [`Condition::Any`](crate::Condition::Any).
    ///
    /// # Errors
    /// `Evicted` or `LeaseLost` when it was over already.
    pub async fn leave(self) -> Result<()> {
        self.ask(Command::Leave).await
    }

    async fn ask(&self, command: impl FnOnce(oneshot::Sender<Result<()>>) -> Command) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        if self.commands.send(command(reply)).await.is_err() {
            return Err(self.over().await);
        }
        match answer.await {
            Ok(result) => result,
            Err(_) => Err(self.over().await),
        }
    }

    /// Why the keeper has ended without being asked. It says so last of all.
    async fn over(&self) -> Error {
        let mut status = self.watch();
        while status.changed().await.is_ok() {}
        match &*self.status.borrow() {
            Status { state: State::Evicted, .. } => gone(),
            Status { error: Some(error), .. } if error.kind() == ErrorKind::Aborted => aborted(&self.key),
            Status { error, .. } => {
                let over = Error::new(ErrorKind::LeaseLost, "this registration is over: it was lost");
                error.clone().into_iter().fold(over, Error::because)
            }
        }
    }
}

/// What the keeper leaves behind when it ends before it could answer.
fn gone() -> Error {
    Error::new(ErrorKind::Evicted, "this registration is over: its entry was removed")
}
