//! The entries that a part stands on.

use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use registry_core::{Error, ErrorKind, Index, Registration, Result, State, Status};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::ledger::Held;

/// How many are given back at the same time: a large block in less than a second, and no flood.
const AT_A_TIME: usize = 32;

/// The registrations of one member: one entry, or one for each of its slots; none for who only observes.
#[derive(Debug, Default)]
pub(super) struct Holding {
    registrations: Vec<Registration>,
    /// The status of each, read up to the last look.
    followed: Vec<watch::Receiver<Status>>,
}

/// Registrations and the tokens that they had. Asks the clock: true until the last moment at which nobody else can have
/// any of the entries.
#[derive(Clone, Debug, Default)]
pub(super) struct Proof(Vec<(watch::Receiver<Status>, Index)>);

impl Proof {
    pub(super) fn stands(&self) -> bool {
        self.0.iter().all(|(status, token)| status.borrow().held() == Some(*token))
    }

    /// True when both are of the same ownerships.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        self.0.iter().map(|(_, token)| token).eq(other.0.iter().map(|(_, token)| token))
    }
}

impl Holding {
    pub(super) fn new(registrations: Vec<Registration>) -> Self {
        let followed = registrations.iter().map(Registration::watch).collect();
        Self { registrations, followed }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.registrations.is_empty()
    }

    /// What is held, when all of it is.
    pub(super) fn held(&self) -> Option<Vec<Held>> {
        self.registrations.iter().map(|one| one.token().map(|token| (one.key().name(), token))).collect()
    }

    /// The proof for exactly these ownerships.
    pub(super) fn proof(&self, held: &[Held]) -> Proof {
        let tokens = held.iter().map(|(_, token)| *token);
        Proof(self.registrations.iter().map(Registration::watch).zip(tokens).collect())
    }

    /// Returns when it may be held otherwise than before: a status changed, or the time of an entry ends. Cancel safe.
    pub(super) async fn moved(&mut self) {
        let certain = self.followed.iter().filter_map(|status| status.borrow().held_until);
        let until = certain.filter(|until| !until.is_over()).min_by_key(|until| until.at());
        let in_time = async {
            match until {
                Some(until) => until.reached().await,
                None => pending().await,
            }
        };
        let mut changes: Vec<Pin<Box<dyn Future<Output = ()> + Send + '_>>> = Vec::new();
        for status in &mut self.followed {
            changes.push(Box::pin(async {
                let _ = status.changed().await;
            }));
        }
        let mut in_time = pin!(in_time);
        poll_fn(|context| {
            let is_due = in_time.as_mut().poll(context).is_ready();
            let is_told = changes.iter_mut().any(|change| change.as_mut().poll(context).is_ready());
            if is_due || is_told { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Why it will never be held again: `Evicted`, or `LeaseLost` for what is registered only once.
    pub(super) fn over(&self) -> Option<Error> {
        let evicted = self.registrations.iter().find(|one| one.status().state == State::Evicted);
        if let Some(evicted) = evicted {
            let message = format!("{} was removed by somebody: this member is evicted", evicted.key());
            return Some(Error::new(ErrorKind::Evicted, message));
        }
        // Its keeper has ended.
        let mut both = self.registrations.iter().zip(&self.followed);
        let (ended, _) = both.find(|(_, status)| status.has_changed().is_err())?;
        Some(Error::new(ErrorKind::LeaseLost, format!("{} was lost", ended.key())))
    }

    /// Finds out at once how each really stands; what became of it is told by [`moved`](Self::moved).
    pub(super) async fn check(&self) {
        for registration in &self.registrations {
            if let Err(error) = registration.check().await {
                tracing::debug!(key = %registration.key(), %error, "not held as it was");
                return;
            }
        }
    }

    /// Gives everything back, many at a time. The first error is told, the rest is given back all the same.
    pub(super) async fn give_back(&mut self) -> Result<()> {
        self.followed.clear();
        let (mut result, mut asked) = (Ok(()), JoinSet::new());
        let mut rest = self.registrations.drain(..);
        loop {
            while asked.len() < AT_A_TIME
                && let Some(registration) = rest.next()
            {
                asked.spawn(registration.deregister());
            }
            let Some(given) = asked.join_next().await else { return result };
            let failed = |error| Err(Error::new(ErrorKind::Unexpected, "could not give it back").because(error));
            result = result.and(given.unwrap_or_else(failed));
        }
    }
}
