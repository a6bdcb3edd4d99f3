//! Noting how a registration stands over time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use registry_core::{Registration, State, Status};
use tokio::time::{Instant, timeout};

use super::seconds;

/// The states of a registration, each with the moment when it was told.
#[derive(Clone)]
pub(crate) struct Record {
    told: Arc<Mutex<Vec<(Instant, State)>>>,
    status: tokio::sync::watch::Receiver<Status>,
}

impl Record {
    pub(crate) fn of(registration: &Registration) -> Self {
        let mut status = registration.watch();
        let record = Self { told: Arc::default(), status: status.clone() };
        let told = Arc::clone(&record.told);
        tokio::spawn(async move {
            loop {
                let state = status.borrow_and_update().state;
                told.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), state));
                if status.changed().await.is_err() {
                    return;
                }
            }
        });
        record
    }

    pub(crate) fn now(&self) -> State {
        self.status.borrow().state
    }

    pub(crate) fn told(&self) -> Vec<(Instant, State)> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The states in a word each, in the order in which they were told.
    pub(crate) fn words(&self) -> Vec<&'static str> {
        self.told().into_iter().map(|(_, state)| word(state)).collect()
    }

    /// When a state was told first.
    pub(crate) fn first(&self, wanted: &str) -> Instant {
        let told = self.told();
        let found = told.iter().find(|(_, state)| word(*state) == wanted);
        found.unwrap_or_else(|| panic!("{wanted} is not in {told:?}")).0
    }

    /// Waits for a state, and returns when it was told.
    pub(crate) async fn reaches(&self, wanted: &str) -> Instant {
        let mut status = self.status.clone();
        let reached = timeout(seconds(600), status.wait_for(|status| word(status.state) == wanted)).await;
        assert!(matches!(reached, Ok(Ok(_))), "{wanted} is not reached: {:?}", self.words());
        Instant::now()
    }

    /// Nothing else than this state is told for a while.
    pub(crate) async fn stays(&self, wanted: &str, span: Duration) {
        let mut status = self.status.clone();
        let left = timeout(span, status.wait_for(|status| word(status.state) != wanted)).await;
        assert!(left.is_err(), "it does not stay {wanted}: {:?}", self.words());
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Held { .. } => "held",
        State::Renewing => "renewing",
        State::Lost => "lost",
        State::Evicted => "evicted",
        State::Refused => "refused",
        State::Released => "released",
    }
}
