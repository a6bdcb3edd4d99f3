//! One term of a leader: it takes over what its predecessor left, decides, writes, and leaves everything to its successor.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use registry_core::{
    Backoff, Bytes, Condition, Error, ErrorKind, Event, Index, Key, RegisterOptions, Registration, Registry,
    RegistryExt, Result,
};
use tokio::time::{Instant, sleep_until, timeout};

use super::claim::claim;
use super::decision::{Action, States, decide};
use super::layout::Layout;
use super::options::Options;
use super::record::Record;
use super::records::Records;
use crate::Leadership;

/// How long one write may keep the others waiting.
const WRITE_LIMIT: Duration = Duration::from_secs(5);
/// The longest wait before what failed is tried again.
const RETRY_MAX: Duration = Duration::from_secs(1);

/// An entry that this leader keeps.
struct Kept<T> {
    registration: Registration,
    content: T,
}

pub(super) struct Term<'a> {
    registry: &'a Arc<dyn Registry>,
    layout: &'a Layout,
    options: &'a Options,
    pub(super) leadership: Leadership,
    lock: Registration,
    lock_token: Index,
    announcements: Records,
    states: Records,
    kept: BTreeMap<String, Kept<Record>>,
    /// The entry with the master's address.
    address: Option<Kept<String>>,
}

impl<'a> Term<'a> {
    /// Takes the lock that schedulers of old take, too. Gives the leadership back when it is lost meanwhile.
    pub(super) async fn begin(
        registry: &'a Arc<dyn Registry>,
        layout: &'a Layout,
        options: &'a Options,
        leadership: Leadership,
        session: &str,
    ) -> Result<Self, (Leadership, Error)> {
        let (lock, lock_token) = match claim(registry, layout, options, &leadership, session).await {
            Ok(claimed) => claimed,
            Err(error) => return Err((leadership, error)),
        };
        let (announcements, states) = (Records::default(), Records::default());
        let (kept, address) = (BTreeMap::new(), None);
        Ok(Self { registry, layout, options, leadership, lock, lock_token, announcements, states, kept, address })
    }

    /// Leads until that is over. Dropping the future is not the way to end it: call [`end`](Self::end) afterwards.
    pub(super) async fn run(&mut self) -> Result<()> {
        let mut announcements = self.registry.subscribe(&self.layout.announcements);
        let mut states = self.registry.subscribe(&self.layout.states);
        let mut backoff = Backoff::new(Duration::from_millis(100), RETRY_MAX);
        let mut look_again = Instant::now() + self.options.leader_ttl;
        loop {
            tokio::select! {
                biased;
                () = self.lost() => return Err(self.loss().await),
                event = announcements.next() => {
                    self.announcements.take(expect(event)?);
                }
                event = states.next() => {
                    let touched = self.states.take(expect(event)?);
                    for session in touched {
                        self.doubt(&session).await;
                    }
                }
                () = sleep_until(look_again) => {}
            }
            if !(self.announcements.is_known() && self.states.is_known()) {
                // A moment that is over would be waited for again and again, without a pause.
                look_again = Instant::now() + self.options.leader_ttl;
                continue;
            }
            look_again = Instant::now()
                + match self.work().await {
                    Ok(()) => {
                        backoff.reset();
                        self.options.leader_ttl
                    }
                    Err(error) if self.stands() => {
                        tracing::debug!(%error, "a write is tried again");
                        backoff.next_wait()
                    }
                    Err(error) => return Err(error),
                };
        }
    }

    /// Leaves the states and the address where they are, for the rest of their time to live: what is not deleted is not
    /// missed. Returns the office, to be resigned.
    pub(super) async fn end(self) -> Leadership {
        for kept in self.kept.into_values() {
            // What is lost already need not be left.
            let _ = kept.registration.leave().await;
        }
        if let Some(kept) = self.address {
            let _ = kept.registration.leave().await;
        }
        if let Err(error) = self.lock.deregister().await {
            tracing::debug!(%error, "could not release the lock; the time to live will");
        }
        self.leadership
    }

    /// Everything that is to be done now, each write by itself: one that fails does not keep the others back.
    async fn work(&mut self) -> Result<()> {
        let mut states = self.known().await;
        let actions = decide(self.announcements.entries(), &states);
        let mut problem = None;
        let mut decided = BTreeSet::new();
        for action in actions {
            let result = match action {
                Action::Put(record) => {
                    decided.insert(record.session.clone());
                    states.insert(record.session.clone(), record.clone());
                    self.put(record).await
                }
                Action::Delete { session } => {
                    states.remove(&session);
                    self.delete(&session).await
                }
            };
            problem = problem.or(result.err());
        }
        // What the predecessor left, and need not change, is kept from now on.
        let is_left = |session: &String| !self.kept.contains_key(session) && !decided.contains(session);
        let left: Vec<_> = states.iter().filter(|(session, _)| is_left(session)).map(|(_, it)| it.clone()).collect();
        for record in left {
            problem = problem.or(self.put(record).await.err());
        }
        let master = states.into_values().find(|state| state.master).map(|state| state.address);
        problem = problem.or(self.publish(master).await.err());
        problem.map_or(Ok(()), Err)
    }

    /// The states as they are: the own writes first, for the watch may not have told of them yet.
    async fn known(&mut self) -> States {
        let is_lost = |_: &String, kept: &mut Kept<Record>| kept.registration.token().is_none();
        for (_, lost) in self.kept.extract_if(.., is_lost) {
            let _ = lost.registration.leave().await;
        }
        let written = self.kept.iter().map(|(session, kept)| (session.clone(), kept.content.clone()));
        let told = self.states.iter().map(|record| (record.session.clone(), record.clone()));
        told.chain(written).collect()
    }

    async fn put(&mut self, record: Record) -> Result<()> {
        let record = Record { token: Some(self.leadership.token()), ..record };
        self.must_stand().await?;
        if let Some(kept) = self.kept.get_mut(&record.session) {
            let result = limited(kept.registration.update(record.to_bytes())).await;
            match &result {
                Ok(()) => kept.content = record,
                Err(error) if error.is_lost() => drop(self.kept.remove(&record.session)),
                Err(_) => {}
            }
            return result;
        }
        let key = self.layout.states.key(&record.session)?;
        let is_there = self.states.is_taken(&record.session);
        let registration = self.take_over(key, record.to_bytes(), self.options.state_ttl, is_there).await?;
        self.kept.insert(record.session.clone(), Kept { registration, content: record });
        Ok(())
    }

    async fn delete(&mut self, session: &str) -> Result<()> {
        self.must_stand().await?;
        if let Some(kept) = self.kept.remove(session) {
            self.states.forget(session);
            return kept.registration.deregister().await;
        }
        self.prove().await?;
        let removed = limited(self.registry.remove(&self.layout.states.key(session)?)).await;
        if removed.is_ok() {
            self.states.forget(session);
        }
        removed.map(drop)
    }

    /// Publishes the master's address, or takes it away when there is none.
    async fn publish(&mut self, master: Option<String>) -> Result<()> {
        let Some(key) = self.layout.address.clone() else { return Ok(()) };
        self.must_stand().await?;
        if let Some(lost) = self.address.take_if(|kept| kept.registration.token().is_none()) {
            let _ = lost.registration.leave().await;
        }
        match (master, &mut self.address) {
            (None, None) => Ok(()),
            (None, Some(_)) => match self.address.take() {
                Some(kept) => kept.registration.deregister().await,
                None => Ok(()),
            },
            (Some(master), Some(kept)) if kept.content == master => Ok(()),
            (Some(master), Some(kept)) => {
                limited(kept.registration.update(master.clone().into())).await?;
                kept.content = master;
                Ok(())
            }
            (Some(master), None) => {
                let value = Bytes::from(master.clone());
                let registration = self.take_over(key, value, self.options.leader_ttl, true).await?;
                self.address = Some(Kept { registration, content: master });
                Ok(())
            }
        }
    }

    /// Registers an entry that is a predecessor's, or nobody's. From then on the predecessor cannot write it any more: the
    /// server refuses. Nothing of the kind protects a successor from this first write. So the server is asked
    /// immediately before. When the office is lost meanwhile, the write is not waited for any more, but it may still land
    /// after the successor's, until its keeper, whom nobody wants by then, releases the entry. It bears a smaller token, so
    /// nodes pass it over; and the successor finds its own entry gone, and puts its state there again.
    async fn take_over(&self, key: Key, value: Bytes, ttl: Duration, is_there: bool) -> Result<Registration> {
        self.prove().await?;
        let condition = if is_there { Condition::Any } else { Condition::Absent };
        let kept = RegisterOptions::new().ttl(ttl).condition(condition).single_ownership().without_watch();
        tokio::select! {
            biased;
            () = self.lost() => Err(self.loss().await),
            registered = limited(self.registry.announce(key, value, kept)) => registered,
        }
    }

    /// Whether an entry is really still kept, after the watch told of another hand.
    async fn doubt(&mut self, session: &str) {
        let is_ours = |record: &Record| record.token == Some(self.leadership.token());
        if self.states.get(session).is_some_and(is_ours) {
            return;
        }
        if let Some(kept) = self.kept.get(session)
            && kept.registration.check().await.is_err_and(|error| error.is_lost())
        {
            self.kept.remove(session);
        }
    }

    /// By the clocks, and by what was read: no request is made.
    fn stands(&self) -> bool {
        let is_locked = self.lock.token() == Some(self.lock_token);
        self.leadership.held() && is_locked && !self.states.has_larger(self.leadership.token())
    }

    async fn must_stand(&self) -> Result<()> {
        if self.stands() { Ok(()) } else { Err(self.loss().await) }
    }

    /// By the server's word.
    async fn prove(&self) -> Result<()> {
        limited(self.leadership.check()).await?;
        limited(self.lock.check()).await?;
        self.must_stand().await
    }

    async fn lost(&self) {
        tokio::select! {
            biased;
            () = self.leadership.lost() => {}
            () = self.lock.lost(self.lock_token) => {}
        }
    }

    async fn loss(&self) -> Error {
        if self.states.has_larger(self.leadership.token()) {
            return Error::new(ErrorKind::LeaseLost, "a leader with a larger token has written");
        }
        if self.leadership.held() {
            return Error::new(ErrorKind::LeaseLost, format!("{}: the lock was lost", self.layout.lock));
        }
        self.leadership.loss().await
    }
}

fn expect(event: Option<Result<Event>>) -> Result<Event> {
    event.unwrap_or_else(|| Err(Error::new(ErrorKind::Unavailable, "the watch ended")))
}

async fn limited<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    match timeout(WRITE_LIMIT, call).await {
        Ok(result) => result,
        Err(_) => Err(Error::new(ErrorKind::Timeout, format!("no answer within {WRITE_LIMIT:?}"))),
    }
}
