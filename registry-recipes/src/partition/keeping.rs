//! The tasks that keep a partition, and how they begin.

use std::future::pending;
use std::pin::Pin;

use registry_core::{ErrorKind, Registry, Result};
use tokio::sync::oneshot;

use super::claim::Claim;
use super::driver::{Driver, Ended};
use super::ledger::Ledger;
use super::slots::Slots;
use super::taking::give_up;

/// What nobody gives up.
pub(super) async fn patient<T>(wanted: impl Future<Output = Result<Option<T>>>) -> Result<T> {
    match wanted.await? {
        Some(had) => Ok(had),
        None => pending().await,
    }
}

/// The driver with its first part; `None` when somebody gave up before, and what was held is given back.
pub(super) async fn settled<L: Ledger>(
    mut driver: Driver<L>,
    giving_up: Pin<&mut impl Future<Output = ()>>,
) -> Result<Option<Driver<L>>> {
    let settled = tokio::select! {
        biased;
        settled = driver.settle() => settled.map(Some),
        () = giving_up => Ok(None),
    };
    if let Ok(Some(())) = settled {
        return Ok(Some(driver));
    }
    give_up(&mut driver.holding).await;
    settled.map(|_| None)
}

/// A member whose entry comes back by itself.
pub(super) async fn keep<L: Ledger>(mut driver: Driver<L>, mut leave: oneshot::Receiver<()>) -> Result<()> {
    match driver.run(&mut leave).await {
        Ended::Left => {
            driver.withdraw();
            driver.holding.give_back().await
        }
        Ended::Lost(error) | Ended::Failed(error) => {
            driver.end(error).await;
            Ok(())
        }
    }
}

/// A member whose slots are taken anew when they are lost.
pub(super) async fn claim_again_when_lost<R: Registry + ?Sized>(
    mut driver: Driver<Slots>,
    claim: Claim<R>,
    mut leave: oneshot::Receiver<()>,
) -> Result<()> {
    loop {
        let error = match driver.run(&mut leave).await {
            Ended::Left => {
                driver.withdraw();
                return driver.holding.give_back().await;
            }
            Ended::Lost(error) if error.kind() == ErrorKind::LeaseLost => error,
            Ended::Lost(error) | Ended::Failed(error) => {
                driver.end(error).await;
                return Ok(());
            }
        };
        tracing::warn!("{error}; a block is claimed anew");
        driver.withdraw();
        if let Err(error) = driver.holding.give_back().await {
            tracing::warn!("{error}; the time to live will remove it");
        }
        let asked = async {
            // Also when the handle is gone.
            let _ = (&mut leave).await;
        };
        match claim.again(asked).await {
            Ok(Some((slots, events, holding))) => driver.begin_again(slots, events, holding),
            Ok(None) => return Ok(()),
            Err(error) => {
                driver.end(error).await;
                return Ok(());
            }
        }
    }
}
