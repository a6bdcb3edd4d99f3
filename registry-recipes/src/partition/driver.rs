//! The task that keeps a member's part up to date.

use registry_core::{Error, Event, Result, Subscription};
use tokio::sync::{oneshot, watch};

use super::holding::{Holding, Proof};
use super::ledger::Ledger;
use super::share::Share;

/// What the task tells the handle.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    share: Share,
    /// What the part stands on; the handle asks it each time that it hands the part out.
    proof: Proof,
    /// How often a part was lost. One that came back at once, and with the same numbers, was lost all the same.
    pub(super) losses: u64,
    /// Why there will never be a part again.
    pub(super) over: Option<Reason>,
}

/// An error that can be told more than once.
#[derive(Clone, Debug)]
pub(super) struct Reason(std::sync::Arc<Error>);

impl Reason {
    pub(super) fn error(&self) -> Error {
        Error::new(self.0.kind(), self.0.to_string()).with_retry(self.0.retry())
    }
}

impl Told {
    pub(super) fn fixed(share: Share) -> Self {
        Self { share, ..Self::default() }
    }

    /// The share, without a part from the moment on at which its entries may be somebody else's.
    pub(super) fn share(&self) -> Share {
        if self.proof.stands() { self.share } else { self.share.without_part() }
    }
}

/// Why a driver stopped.
#[derive(Debug)]
pub(super) enum Ended {
    /// It was asked to leave.
    Left,
    /// The entries are gone for good.
    Lost(Error),
    /// The directory cannot be followed any more.
    Failed(Error),
}

/// Follows a directory and the own entries in it.
#[derive(Debug)]
pub(super) struct Driver<L> {
    ledger: L,
    events: Subscription,
    pub(super) holding: Holding,
    shares: watch::Sender<Told>,
    /// True while it is known that what is known may be old.
    stale: bool,
}

impl<L: Ledger> Driver<L> {
    /// Begins with a ledger that has seen the subscription's first snapshot.
    pub(super) fn new(ledger: L, events: Subscription, holding: Holding, shares: watch::Sender<Told>) -> Self {
        Self { ledger, events, holding, shares, stale: false }
    }

    /// Returns when the first part is there: the ledger has seen the own entries. At once for who has none.
    pub(super) async fn settle(&mut self) -> Result<()> {
        while !self.publish() && !self.holding.is_empty() && self.holding.held().is_some() {
            tokio::select! {
                biased;
                event = self.events.next() => self.take(event)?,
                () = self.holding.moved() => {}
            }
        }
        Ok(())
    }

    /// Runs until it is asked to leave, or cannot go on.
    pub(super) async fn run(&mut self, leave: &mut oneshot::Receiver<()>) -> Ended {
        loop {
            let before = self.shares.borrow().share.base.is_some();
            let part = self.publish();
            if let Some(error) = self.holding.over() {
                return Ended::Lost(error);
            }
            if before && !part && self.holding.held().is_some() {
                // The entries were seen to go, and nothing else says so: do they still stand?
                self.holding.check().await;
            }
            tokio::select! {
                biased;
                // Also when the handle is gone.
                _ = &mut *leave => return Ended::Left,
                () = self.holding.moved() => {}
                event = self.events.next() => if let Err(error) = self.take(event) {
                    return Ended::Failed(error);
                },
            }
        }
    }

    /// From now on there is no part; what else is known stays.
    pub(super) fn withdraw(&self) {
        // A statement of its own: the channel cannot be written while it is read.
        let share = self.shares.borrow().share.without_part();
        self.tell(share, Proof::default());
    }

    /// There will never be a part again. The registrations are given back as well as that can be done.
    pub(super) async fn end(&mut self, error: Error) {
        self.withdraw();
        self.shares.send_modify(|told| told.over = Some(Reason(std::sync::Arc::new(error))));
        let _ = self.holding.give_back().await;
    }

    /// Continues with other entries and what was listed for them.
    pub(super) fn begin_again(&mut self, ledger: L, events: Subscription, holding: Holding) {
        (self.ledger, self.events, self.holding) = (ledger, events, holding);
    }

    /// Tells what is known now; true when there is a part.
    fn publish(&self) -> bool {
        let held = self.holding.held().unwrap_or_default();
        let share = self.ledger.share(&held);
        let proof = if share.base.is_some() { self.holding.proof(&held) } else { Proof::default() };
        self.tell(share, proof);
        share.base.is_some()
    }

    /// Wakes the handle only when the work is divided otherwise; the index moves on silently.
    fn tell(&self, share: Share, proof: Proof) {
        self.shares.send_if_modified(|told| {
            let is_lost = told.share.base.is_some() && !told.proof.is_of(&proof);
            let is_news = is_lost || !told.share.agrees_with(&share);
            told.losses += u64::from(is_lost);
            (told.share, told.proof) = (share, proof);
            is_news
        });
    }

    fn take(&mut self, event: Option<Result<Event>>) -> Result<()> {
        let event =
            event.unwrap_or_else(|| Err(Error::new(registry_core::ErrorKind::Unexpected, "the watch ended")))?;
        match &event {
            Event::Snapshot { snapshot, .. } => self.ledger.replace(snapshot),
            Event::Changes(batch) => self.ledger.apply(batch),
            Event::Interrupted { error, .. } => {
                if !std::mem::replace(&mut self.stale, true) {
                    tracing::warn!("the other members cannot be seen, and the last that was known stands: {error}");
                }
                return Ok(());
            }
            Event::Resumed { .. } => {}
        }
        if std::mem::take(&mut self.stale) {
            tracing::info!("the other members are seen again");
        }
        Ok(())
    }
}

/// Fills the ledger with the first snapshot. Waits while the registry cannot be reached.
pub(super) async fn first<L: Ledger>(ledger: &mut L, events: &mut Subscription) -> Result<registry_core::Snapshot> {
    let mut reported = false;
    loop {
        match events.next().await {
            Some(Ok(Event::Snapshot { snapshot, .. })) => {
                ledger.replace(&snapshot);
                return Ok(snapshot);
            }
            Some(Ok(Event::Interrupted { error, .. })) if !reported => {
                tracing::warn!("waiting for the registry: {error}");
                reported = true;
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error),
            None => return Err(Error::new(registry_core::ErrorKind::Unexpected, "the watch ended")),
        }
    }
}
