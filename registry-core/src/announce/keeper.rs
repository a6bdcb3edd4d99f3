//! The task that keeps one registration: one function for each phase.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};

use super::own_entry::{OwnEntry, Seen};
use super::{State, Status};
use crate::backoff::{Backoff, jitter};
use crate::clock::Moment;
use crate::error::{Error, ErrorKind, Result};
use crate::lease::Lease;
use crate::limit::limited;
use crate::name::{Key, Scope};
use crate::options::{Condition, OwnWatch, RegisterOptions, WatchKind};
use crate::registry::Registry;
use crate::subscription::{DEFAULT_GRACE, SubscribeOptions, Subscription};

/// The longest wait between two attempts while the registry cannot be reached.
const RETRY_MAX: Duration = Duration::from_secs(3);
/// The longest that registering, updating or releasing may take.
pub(super) const CALL_LIMIT: Duration = Duration::from_secs(10);
/// An entry that was lost earlier than this after it was registered is registered again after a wait, which grows: whatever
/// takes it away may take it away again.
const LASTING: Duration = Duration::from_secs(10);

/// While its watch may not show a loss at once, what must hear of it soon renews so many times in a TTL.
const UNWATCHED: u32 = 12;

/// So many moments are there between two renewals at which all registrations of one process are renewed: of those that come
/// together, a hundred cost little more than one.
const STEPS: u32 = 40;

pub(super) type Reply = oneshot::Sender<Result<()>>;

#[derive(Debug)]
pub(super) enum Command {
    Update(Bytes, Reply),
    Check(Reply),
    Deregister(Reply),
    Leave(Reply),
}

/// Where the keeper stands.
enum Phase {
    /// Tries to register until it succeeds.
    Registering,
    /// Waits before the next attempt to register.
    Waiting(Moment),
    /// Holds a lease. The deadline is when it may end: the time the last good renewal was *sent*, plus its time to live.
    ///
    /// It is renewed at `due` at the latest, if that was decided already.
    Keeping { lease: Lease, deadline: Moment, due: Option<Moment> },
    /// Nothing is left to do.
    Over,
}

pub(super) struct Keeper {
    registry: Arc<dyn Registry>,
    /// Where the caller's registry lies: subscriptions on the same one share a watch.
    handle: usize,
    key: Key,
    /// The latest value; what is registered again after a loss.
    value: Bytes,
    /// The last value that the registry took.
    taken: Bytes,
    /// True when `value` has not reached the registry yet.
    dirty: bool,
    options: RegisterOptions,
    ttl: Duration,
    status: watch::Sender<Status>,
    /// Until when an entry may stand that was made by an attempt whose answer was lost. It would refuse the next attempt.
    unanswered_until: Option<Moment>,
    /// The same for an attempt that had no answer in time: the registry may have taken it, or take it yet.
    may_stand_until: Option<Moment>,
    /// True while an attempt to register has no answer yet.
    attempting: bool,
    /// Hears of the first time that the entry stands, or of why it cannot.
    ready: Option<oneshot::Sender<Result<()>>>,
    /// Between attempts while the registry does not answer.
    backoff: Backoff,
    /// Between a loss and the next registration.
    reregistering: Backoff,
    /// When the entry was last registered.
    registered: Option<Moment>,
    /// True when it has ended as it should.
    ended: bool,
}

impl Keeper {
    #[expect(clippy::too_many_arguments, reason = "it is called once")]
    pub(super) fn new(
        registry: Arc<dyn Registry>,
        handle: usize,
        key: Key,
        value: Bytes,
        options: RegisterOptions,
        ttl: Duration,
        status: watch::Sender<Status>,
        ready: oneshot::Sender<Result<()>>,
    ) -> Self {
        let backoff = Backoff::new(Duration::from_millis(100), RETRY_MAX.min(ttl / 3));
        let taken = value.clone();
        Self {
            registry,
            handle,
            key,
            value,
            taken,
            dirty: false,
            options,
            ttl,
            status,
            unanswered_until: None,
            may_stand_until: None,
            attempting: false,
            ready: Some(ready),
            backoff,
            reregistering: Backoff::new(Duration::from_millis(100), RETRY_MAX),
            registered: None,
            ended: false,
        }
    }

    /// Runs until it is released or evicted.
    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        let mut own = None;
        let mut phase = Phase::Registering;
        loop {
            phase = match phase {
                Phase::Registering => self.register().await,
                Phase::Waiting(until) => self.rest(until, &mut inbox).await,
                Phase::Keeping { lease, deadline, due } => {
                    // There is nothing to watch before the entry stands.
                    let own = own.get_or_insert_with(|| self.watch_own_entry());
                    self.keep(lease, deadline, due, &mut inbox, own).await
                }
                Phase::Over => {
                    self.ended = true;
                    return;
                }
            };
        }
    }

    /// `Registering`: until it stands, with backoff and no limit. The first time, a permanent error ends it.
    async fn register(&mut self) -> Phase {
        let sent = Moment::now();
        let call = self.registry.register(&self.key, self.value.clone(), &self.options);
        self.attempting = true;
        let answer = limited(CALL_LIMIT, "register", call).await;
        self.attempting = false;
        match answer {
            Ok(lease) => {
                // From now on the name is ours or free. To take it again with `Any` would rob a successor. Where there are
                // no conditions, no name is anybody's alone.
                if self.registry.capabilities().conditions {
                    self.options.condition = Condition::Absent;
                }
                self.registered = Some(sent);
                self.granted(lease, sent)
            }
            Err(error) => {
                let refused = !error.is_transient() && !self.may_have_met_itself(&error);
                if refused && self.ready.is_some() {
                    self.tell(State::Refused, None);
                    self.first(Err(error));
                    return Phase::Over;
                }
                tracing::debug!(key = %self.key, %error, "could not register yet");
                self.forget_what_is_never_taken(&error);
                if error.is_transient() {
                    let longest = self.registry.capabilities().gone_after(self.ttl);
                    self.unanswered_until = Some(Moment::now() + longest);
                    if error.kind() == ErrorKind::Timeout {
                        self.may_stand_until = self.unanswered_until;
                    }
                }
                // What is refused is not mended by haste.
                let wait = if refused { jitter(self.ttl.max(RETRY_MAX) / 3, 0.5) } else { self.backoff.next_wait() };
                self.tell(if refused { State::Refused } else { State::Lost }, Some(error));
                Phase::Waiting(Moment::now() + wait)
            }
        }
    }

    /// Not every server can tell whose entry refuses an attempt. One of our own, made by an attempt without an answer, ends
    /// by itself; until then nobody is known to have the name.
    fn may_have_met_itself(&self, error: &Error) -> bool {
        let conflict = error.kind() == ErrorKind::Conflict && self.options.condition == Condition::Absent;
        conflict && self.unanswered_until.is_some_and(|until| !until.is_over())
    }

    /// Waits between two attempts to register, and hears commands.
    async fn rest(&mut self, until: Moment, inbox: &mut mpsc::Receiver<Command>) -> Phase {
        loop {
            tokio::select! {
                biased;
                () = until.reached() => return Phase::Registering,
                command = inbox.recv() => match command {
                    Some(Command::Update(value, reply)) => {
                        self.value = value;
                        let _ = reply.send(Err(self.not_held()));
                    }
                    Some(Command::Check(reply)) => {
                        let _ = reply.send(Err(self.not_held()));
                    }
                    Some(Command::Deregister(reply)) => {
                        self.tell(State::Released, None);
                        let _ = reply.send(self.nothing_stands());
                        return Phase::Over;
                    }
                    Some(Command::Leave(reply)) => {
                        self.tell(State::Released, None);
                        let _ = reply.send(Ok(()));
                        return Phase::Over;
                    }
                    None => {
                        self.tell(State::Released, None);
                        return Phase::Over;
                    }
                },
            }
        }
    }

    /// `Keeping`: renews in time, and at once when asked or when the entry was seen to go.
    async fn keep(
        &mut self,
        lease: Lease,
        deadline: Moment,
        due: Option<Moment>,
        inbox: &mut mpsc::Receiver<Command>,
        own: &mut OwnEntry,
    ) -> Phase {
        let held = matches!(self.status.borrow().state, State::Held { .. });
        if held && due.is_none() {
            own.is_reachable();
        }
        let renew_at = if held && !self.dirty {
            self.next_renewal(&lease, own.is_watched())
        } else {
            Moment::now() + self.backoff.next_wait()
        };
        let renew_at = due.map_or(renew_at, |due| due.min(renew_at));
        let doubted = matches!(self.status.borrow().state, State::Lost);
        // A renewal tells of the loss first of all, so both are one wait: ten thousand registrations feel every timer.
        let wake_at = if doubted { renew_at } else { renew_at.min(doubtful_at(&lease, deadline)) };
        tokio::select! {
            biased;
            command = inbox.recv() => match command {
                Some(Command::Check(reply)) => self.renew(lease, deadline, Some(reply), own).await,
                Some(Command::Update(value, reply)) => {
                    self.value = value;
                    self.dirty = true;
                    self.renew(lease, deadline, Some(reply), own).await
                }
                Some(Command::Deregister(reply)) => {
                    let _ = reply.send(self.release(&lease).await);
                    Phase::Over
                }
                Some(Command::Leave(reply)) => {
                    self.tell(State::Released, None);
                    let _ = reply.send(Ok(()));
                    Phase::Over
                }
                None => {
                    if let Err(error) = self.release(&lease).await {
                        tracing::warn!(key = %self.key, %error, "could not deregister; the time to live will");
                    }
                    Phase::Over
                }
            },
            seen = own.next() => match seen {
                Seen::Gone => {
                    self.seen_to_go();
                    self.renew(lease, deadline, None, own).await
                }
                // The next renewal may be due earlier, and never later: a watch that comes and goes must not put it off.
                Seen::Watched(_) => Phase::Keeping { lease, deadline, due: Some(renew_at) },
            },
            () = wake_at.reached() => self.renew(lease, deadline, None, own).await,
        }
    }

    /// One renewal, or the update that is due, and what follows from its answer.
    async fn renew(&mut self, lease: Lease, deadline: Moment, reply: Option<Reply>, own: &mut OwnEntry) -> Phase {
        let doubtful_at = doubtful_at(&lease, deadline);
        // Told before anything else is done after a long sleep.
        if doubtful_at.is_over() {
            self.tell(State::Lost, None);
        }
        let limit = (self.ttl / 3).min(CALL_LIMIT);
        let (answer, sent, gone) = loop {
            let sent = Moment::now();
            let call = async {
                if self.dirty {
                    limited(limit, "update", self.registry.update(&lease, self.value.clone())).await
                } else {
                    limited(limit, "renew", self.registry.renew(&lease)).await.map(|()| lease.clone())
                }
            };
            match self.attentively(doubtful_at, limit, call, own).await {
                // It was there when it was renewed, and was seen to go meanwhile: another renewal tells what became of it.
                (Ok(_), true) => {}
                (answer, gone) => break (answer, sent, gone),
            }
        };
        let (phase, answer) = match answer {
            Ok(lease) => (self.granted(lease, sent), Ok(())),
            Err(error) => match error.kind() {
                ErrorKind::Evicted => {
                    tracing::debug!(key = %self.key, "the entry was removed: evicted");
                    // First of all: from now on the name may be another's.
                    self.tell(State::Evicted, Some(again(&error)));
                    // The entry is gone, but what held it (a lease on the server) need not linger.
                    let _ = limited(limit, "deregister", self.registry.deregister(&lease)).await;
                    (Phase::Over, Err(error))
                }
                ErrorKind::LeaseLost => {
                    tracing::debug!(key = %self.key, "the registration was lost; it is registered again");
                    self.tell(State::Lost, Some(again(&error)));
                    (self.after_a_loss(), Err(error))
                }
                ErrorKind::Conflict => {
                    tracing::debug!(key = %self.key, %error, "somebody else has taken the name");
                    self.tell(State::Refused, Some(again(&error)));
                    (self.after_a_loss(), Err(error))
                }
                _ => {
                    tracing::debug!(key = %self.key, %error, "could not renew yet");
                    self.forget_what_is_never_taken(&error);
                    let lost = doubtful_at.is_over() || (gone && self.options.single_ownership);
                    self.tell(if lost { State::Lost } else { State::Renewing }, Some(again(&error)));
                    (Phase::Keeping { lease, deadline, due: None }, Err(error))
                }
            },
        };
        if let Some(reply) = reply {
            let _ = reply.send(answer);
        }
        phase
    }

    /// A value that the registry will never take must not keep the entry from being renewed, or from coming back.
    fn forget_what_is_never_taken(&mut self, error: &Error) {
        if error.kind() == ErrorKind::InvalidInput {
            self.value = self.taken.clone();
            self.dirty = false;
        }
    }

    fn after_a_loss(&mut self) -> Phase {
        // Who still waits for the first registration has not owned anything yet.
        if self.options.single_ownership && self.ready.is_none() {
            return Phase::Over;
        }
        if self.registered.is_none_or(|registered| (registered + LASTING).is_over()) {
            self.reregistering.reset();
            return Phase::Registering;
        }
        Phase::Waiting(Moment::now() + self.reregistering.next_wait())
    }

    /// The entry was seen to go. Whose ownership cannot come back need not wait for the answer that says why.
    fn seen_to_go(&self) {
        if self.options.single_ownership {
            let gone = Error::new(ErrorKind::LeaseLost, format!("the entry {} was seen to go", self.key));
            self.tell(State::Lost, Some(gone));
        }
    }

    /// Waits for a call that has this limit. Meanwhile it reports the loss when its moment comes, or when the entry is seen to
    /// go: a server that hangs must not hide either. Returns whether the entry was seen to go.
    async fn attentively<T>(
        &self,
        doubtful_at: Moment,
        limit: Duration,
        call: impl Future<Output = T>,
        own: &mut OwnEntry,
    ) -> (T, bool) {
        let (mut call, mut gone, mut late) = (pin!(call), false, false);
        let mut doubt = pin!(doubtful_at.reached_within(limit));
        loop {
            tokio::select! {
                biased;
                () = &mut doubt, if !late => {
                    late = true;
                    self.tell(State::Lost, None);
                }
                seen = own.next(), if !gone => if seen == Seen::Gone {
                    gone = true;
                    self.seen_to_go();
                },
                answer = &mut call => return (answer, gone),
            }
        }
    }

    /// A good answer: the entry stands for its time to live after the request was sent, if that is not over yet.
    fn granted(&mut self, lease: Lease, sent: Moment) -> Phase {
        let deadline = sent + lease.ttl();
        self.dirty = false;
        self.taken = self.value.clone();
        self.unanswered_until = None;
        self.may_stand_until = None;
        if doubtful_at(&lease, deadline).is_over() {
            self.tell(State::Lost, None);
        } else {
            self.backoff.reset();
            self.hold(&lease, deadline);
            self.first(Ok(()));
        }
        Phase::Keeping { lease, deadline, due: None }
    }

    /// Lets the caller know who waits for the first registration. If he gave up, the drop of the commands is seen next.
    fn first(&mut self, result: Result<()>) {
        if let Some(ready) = self.ready.take() {
            let _ = ready.send(result);
        }
    }

    /// Nobody believes to hold the entry from before the request is sent: it may be gone long before the answer comes.
    async fn release(&mut self, lease: &Lease) -> Result<()> {
        self.tell(State::Released, None);
        limited(CALL_LIMIT, "deregister", self.registry.deregister(lease)).await
    }

    /// There is no lease to give back. That nothing stands is another question.
    fn nothing_stands(&self) -> Result<()> {
        if self.may_stand_until.is_none_or(Moment::is_over) {
            return Ok(());
        }
        let message = format!("an attempt to register {} had no answer: it may stand", self.key);
        Err(Error::new(ErrorKind::Timeout, message).during("deregister"))
    }

    /// When the next renewal is due after a good one: a little early, spread, and then with those of others.
    fn next_renewal(&self, lease: &Lease, is_watched: bool) -> Moment {
        let interval = self.options.renew_every.unwrap_or(lease.ttl() / 3);
        let interval = if self.options.single_ownership && !(is_watched && self.is_settled()) {
            interval.min(lease.ttl() / UNWATCHED)
        } else {
            interval
        };
        (Moment::now() + jitter(interval, 0.2)).in_step(interval / STEPS)
    }

    /// False for a while after another server took the lead: one that has been away may show what has happened late, and the
    /// one that led before may still end leases.
    fn is_settled(&self) -> bool {
        self.registry.leader_changed().is_none_or(|changed| (changed + DEFAULT_GRACE).is_over())
    }

    /// An eviction is seen at once, not only at the next renewal.
    fn watch_own_entry(&self) -> OwnEntry {
        let scope = match self.options.own_watch {
            _ if self.registry.capabilities().watch == WatchKind::Static => None,
            OwnWatch::Entry => Some(Scope::Entry(self.key.clone())),
            OwnWatch::Directory => Some(Scope::Directory(self.key.dir())),
            OwnWatch::None => None,
        };
        let start =
            |scope| Subscription::start(Arc::clone(&self.registry), self.handle, scope, SubscribeOptions::new());
        OwnEntry::new(self.key.clone(), scope.map(start))
    }

    fn tell(&self, state: State, error: Option<Error>) {
        self.status.send_if_modified(|status| {
            // An outage that ends with a refusal is news: somebody has to grant a permission.
            let refused = error.as_ref().is_some_and(is_refusal) && !status.error.as_deref().is_some_and(is_refusal);
            // Who waits for the first registration hears why it does not come about.
            let is_first_news = self.ready.is_some() && status.error.is_none() && error.is_some();
            let changed = status.state != state || refused || is_first_news;
            status.state = state;
            if matches!(state, State::Evicted | State::Refused | State::Released) {
                status.lease = None;
            }
            if !matches!(state, State::Held { .. } | State::Renewing) {
                status.held_until = None;
            }
            if error.is_some() || matches!(state, State::Held { .. }) {
                status.error = error.map(Arc::new);
            }
            changed
        });
    }

    /// The entry stands with this lease.
    fn hold(&self, lease: &Lease, deadline: Moment) {
        self.status.send_if_modified(|status| {
            status.lease = Some(lease.clone());
            status.held_until = Some(doubtful_at(lease, deadline));
            false
        });
        self.tell(State::Held { token: lease.token() }, None);
    }

    fn not_held(&self) -> Error {
        let because = self.status.borrow().error.clone();
        let error = Error::new(ErrorKind::Unavailable, format!("{} is not registered at the moment", self.key));
        match because {
            Some(cause) => error.because(cause),
            None => error,
        }
    }
}

impl Drop for Keeper {
    /// A keeper that could not end as it should does not renew any more, and nobody knows what became of its last request.
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        self.tell(State::Lost, Some(aborted(&self.key)));
        if self.attempting || self.may_stand_until.is_some_and(|until| !until.is_over()) {
            // Which lease the entry has, if there is one, nobody knows.
            self.status.send_if_modified(|status| status.lease.take().is_some());
        }
    }
}

/// The error of whoever asks a keeper that could not answer.
pub(super) fn aborted(key: &Key) -> Error {
    let message = format!(
        "{key} is not renewed any more: the task that renewed it was ended (its runtime was shut down, or it panicked)"
    );
    Error::new(ErrorKind::Aborted, message)
}

/// From when on the entry may be gone. A little before the end of its time: clocks differ, and answers travel.
fn doubtful_at(lease: &Lease, deadline: Moment) -> Moment {
    deadline - (lease.ttl() / 10).min(Duration::from_secs(1))
}

/// The same error for the status, while the caller gets the one with the cause.
fn again(error: &Error) -> Error {
    Error::new(error.kind(), error.to_string()).with_retry(error.retry())
}

fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unauthenticated | ErrorKind::PermissionDenied)
}
