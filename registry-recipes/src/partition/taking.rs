//! Entries that are being taken, so that none is left behind when the rest cannot be had or is not wanted any more.

use std::sync::Arc;
use std::time::Duration;

use registry_core::{Error, ErrorKind, Key, RegisterOptions, Registration, Registry, RegistryExt, Result};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::holding::Holding;

/// How long giving up may take. Whoever gives up is about to end, and the time to live gives back what is left.
const LIMIT: Duration = Duration::from_secs(2);

/// What was taken, and what was asked for. It outlives a future that takes and is dropped half-way.
#[derive(Debug, Default)]
pub(super) struct Taking {
    taken: Vec<Registration>,
    /// The request that has no answer yet: whether it took something is not known before.
    asked: JoinSet<Result<Registration>>,
}

impl Taking {
    /// Takes one more. Cancelled, it is still under way: it is given back with the rest.
    pub(super) async fn take<R: Registry + ?Sized>(
        &mut self,
        registry: &Arc<R>,
        key: Key,
        value: String,
        options: RegisterOptions,
    ) -> Result<()> {
        let registry = Arc::clone(registry);
        self.asked.spawn(async move { registry.announce(key, value, options).await });
        let answer = self.asked.join_next().await.ok_or_else(unanswered)?;
        self.taken.push(answer.map_err(|error| unanswered().because(error))??);
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// What was taken so far; it begins anew with nothing.
    pub(super) fn holding(&mut self) -> Holding {
        Holding::new(std::mem::take(&mut self.taken))
    }

    /// Gives everything back, also what is still under way, in two seconds at most.
    pub(super) async fn give_up(mut self) {
        let mut holding = self.holding();
        let late = async {
            while let Some(answer) = self.asked.join_next().await {
                if let Ok(Ok(registration)) = answer {
                    Holding::new(vec![registration]).give_back().await?;
                }
            }
            Ok(())
        };
        let both = async {
            let (taken, late) = tokio::join!(holding.give_back(), late);
            taken.and(late)
        };
        said(timeout(LIMIT, both).await);
    }
}

/// Gives up what is held, in two seconds at most.
pub(super) async fn give_up(holding: &mut Holding) {
    said(timeout(LIMIT, holding.give_back()).await);
}

fn said<E>(given: std::result::Result<Result<()>, E>) {
    match given {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!("{error}; the time to live will remove it"),
        Err(_) => tracing::warn!("what was taken could not be given back in time; the time to live will remove it"),
    }
}

fn unanswered() -> Error {
    Error::new(ErrorKind::Unexpected, "the registration ended without an answer")
}
