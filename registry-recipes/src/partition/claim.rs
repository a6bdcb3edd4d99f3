//! Taking the lowest free block of indices.

use std::sync::Arc;
use std::time::Duration;

use registry_core::{Backoff, Dir, Error, ErrorKind, Registry, RegistryExt, Result, Subscription};
use tokio::time::sleep;

use super::driver::first;
use super::holding::Holding;
use super::member::{MAX_SLOTS, Member};
use super::slots::Slots;
use super::taking::Taking;

/// How a member takes its indices, the first time and after each loss.
#[derive(Debug)]
pub(super) struct Claim<R: ?Sized> {
    registry: Arc<R>,
    dir: Dir,
    member: Member,
}

/// A block that is held, and the directory as it is followed since before it was taken.
pub(super) type Claimed = (Slots, Subscription, Holding);

impl<R: Registry + ?Sized> Claim<R> {
    pub(super) fn new(registry: &Arc<R>, dir: Dir, member: Member) -> Result<Self> {
        let workers = member.workers;
        if workers > MAX_SLOTS {
            return Err(Error::invalid_input(format!(
                "{workers} workers are too many for stable slots, where each is an entry of its own; allowed are 1 to {MAX_SLOTS}"
            )));
        }
        Ok(Self { registry: Arc::clone(registry), dir, member })
    }

    /// The first time: refused while another instance of this name lives. `None` when somebody gave up.
    pub(super) async fn first_time(&self, giving_up: impl Future<Output = ()>) -> Result<Option<Claimed>> {
        self.unless(true, giving_up).await
    }

    /// After a loss: entries of this name are what is left of the own ones. `None` when somebody gave up.
    pub(super) async fn again(&self, giving_up: impl Future<Output = ()>) -> Result<Option<Claimed>> {
        self.unless(false, giving_up).await
    }

    /// Whatever ends it without a block, nothing is left that was taken for it.
    async fn unless(&self, alone: bool, giving_up: impl Future<Output = ()>) -> Result<Option<Claimed>> {
        let mut taking = Taking::default();
        let claimed = tokio::select! {
            biased;
            claimed = self.run(alone, &mut taking) => claimed.map(Some),
            () = giving_up => Ok(None),
        };
        if let Ok(Some((slots, events))) = claimed {
            return Ok(Some((slots, events, taking.holding())));
        }
        taking.give_up().await;
        claimed.map(|_| None)
    }

    async fn run(&self, mut alone: bool, taking: &mut Taking) -> Result<(Slots, Subscription)> {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        loop {
            let (mut slots, mut events) = (Slots::default(), self.registry.subscribe(&self.dir));
            let listed = first(&mut slots, &mut events).await?;
            let is_own = |entry: &&registry_core::Entry| entry.value == self.member.id.as_str().as_bytes();
            if let Some(own) = listed.entries.iter().find(is_own).filter(|_| alone) {
                return Err(duplicate(&self.dir, &self.member, own.name.as_str()));
            }
            // What others are found to have taken since the list was made.
            let mut known = slots.clone();
            loop {
                let base = known.lowest_free(self.member.workers).ok_or_else(|| {
                    let workers = self.member.workers;
                    Error::new(ErrorKind::Conflict, format!("{}: no {workers} indices in a row are free", self.dir))
                })?;
                let Some(conflict) = self.take(base, taking).await? else { return Ok((slots, events)) };
                if !taking.is_empty() {
                    // Two claims have met half-way. Both give way, and not at the same time again.
                    if let Err(error) = taking.holding().give_back().await {
                        tracing::warn!("{error}; the time to live will remove it");
                        // What is found under this name from now on may be left of this claim.
                        alone = false;
                    }
                    break;
                }
                known.take(conflict);
            }
            sleep(backoff.next_wait()).await;
        }
    }

    /// Takes a block in ascending order, so that two claims of one block meet at its beginning. The index that somebody else
    /// has, if any.
    async fn take(&self, base: u64, taking: &mut Taking) -> Result<Option<u64>> {
        for slot in base..base + self.member.workers {
            let (key, value) = (self.dir.key(&slot.to_string())?, self.member.id.as_str().to_owned());
            match taking.take(&self.registry, key, value, self.member.slot_options()).await {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Conflict => return Ok(Some(slot)),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// Says what to do about a name that is taken.
pub(super) fn duplicate(dir: &Dir, member: &Member, entry: &str) -> Error {
    let message = format!(
        "{dir}/{entry}: an instance called {} is there already; give this one another name, or wait until the entry of one \
         that has died expires",
        member.id
    );
    Error::new(ErrorKind::Conflict, message)
}
