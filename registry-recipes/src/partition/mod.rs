//! Which part of the work is whose: thread indices, as libcluster has them.
//!
//! Every instance of a program has a number of workers. All workers of all instances are numbered without a gap, and each
//! instance knows the number of its first one, how many it has, and how many there are in all: one value, the [`Share`],
//! taken from one point of the registry's history. When members come or go, it is told the new one.
//!
//! ```no_run
//! # async fn example(registry: std::sync::Arc<dyn registry_core::Registry>) -> registry_core::Result<()> {
//! use registry_recipes::partition::{Cluster, Member, Partition};
//!
//! let cluster = Cluster::new("my-app", None, None)?;
//! let mut partition = Partition::join(&registry, &cluster, Member::new(4)?.id("node3")?).await?;
//! loop {
//!     let share = partition.changed().await?;
//!     println!("I do {:?} of {}", share.range(), share.total);
//! }
//! # }
//! ```
//!
//! A part is handed out only while the entry that it stands on is certain to stand; after an outage that outlived the entry
//! there is none until it is registered again. Changes travel, so two members may look at different points of the history
//! for a moment: see [`Share`].

mod claim;
mod cluster;
mod driver;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing {
    pub(crate) use super::slots::block;
    pub(crate) use super::tally::count_of as count;
}
mod holding;
mod keeping;
mod ledger;
#[cfg(feature = "measuring")]
#[doc(hidden)]
pub mod measuring;
mod member;
mod share;
mod slots;
mod taking;
mod tally;

use std::fmt;
use std::future::pending;
use std::pin::{Pin, pin};
use std::sync::Arc;

use registry_core::{Error, ErrorKind, Registry, RegistryExt, Result};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use claim::{Claim, duplicate};
pub use cluster::{Cluster, DEFAULT_ENVIRONMENT};
use driver::{Driver, Told, first};
use holding::Holding;
use keeping::{claim_again_when_lost, keep, patient, settled};
pub use member::{MAX_SLOTS, MAX_WORKERS, Member};
pub use share::Share;
use slots::Slots;
use taking::{Taking, give_up};
use tally::Tally;

/// A member, an observer, or a fixed part. Dropping it leaves as well as that can be done in the background; the time to
/// live is the backstop.
pub struct Partition {
    told: watch::Receiver<Told>,
    /// What [`changed`](Self::changed) returned last.
    last: Option<Share>,
    /// The losses that it has told of, or that happened before it told of a part.
    losses: u64,
    /// `None` for a fixed part, of which nobody takes care.
    task: Option<(oneshot::Sender<()>, JoinHandle<Result<()>>)>,
}

impl Partition {
    /// Joins: the member's entry is its count of workers, exactly as libcluster writes it, so that members of both work
    /// together. Its part is made of what all of them wrote, in the byte order of their names; whoever comes or goes moves
    /// those after it.
    ///
    /// Returns when the entry stands and the first share is known. While the registry cannot be reached it goes on trying,
    /// so set a time limit around it where that matters. Cancel safe: giving up releases what was registered.
    ///
    /// # Errors
    /// `Conflict`: an instance of this name lives, or died less than its time to live ago. Else only what trying again
    /// cannot mend: `InvalidInput`, `Unsupported`, bad credentials.
    pub async fn join<R: Registry + ?Sized>(registry: &Arc<R>, cluster: &Cluster, member: Member) -> Result<Self> {
        patient(Self::join_unless(registry, cluster, member, pending())).await
    }

    /// Joins unless `giving_up` ends before that. Then the entry is given back before `None` is returned, in two seconds at
    /// most: for a process that ends then, and would take what runs in the background with it. The same for an error.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub async fn join_unless<R: Registry + ?Sized>(
        registry: &Arc<R>,
        cluster: &Cluster,
        member: Member,
        giving_up: impl Future<Output = ()>,
    ) -> Result<Option<Self>> {
        let key = cluster.dir().key(member.id.as_str())?;
        let (mut taking, mut giving_up) = (Taking::default(), pin!(giving_up));
        let taken = tokio::select! {
            biased;
            taken = taking.take(registry, key, member.workers.to_string(), member.options()) => taken.map(Some),
            () = &mut giving_up => Ok(None),
        };
        let taken = taken.map_err(|error| match error.kind() {
            ErrorKind::Conflict => duplicate(cluster.dir(), &member, member.id.as_str()).because(error),
            _ => error,
        });
        if !matches!(taken, Ok(Some(()))) {
            taking.give_up().await;
            return taken.map(|_| None);
        }
        Self::follow(registry, cluster, Tally::new(Some(member.id)), taking.holding(), giving_up).await
    }

    /// Observes without a part: the base is always `None`.
    ///
    /// Returns when the first share is known. Waiting, cancelling and errors are as for [`join`](Self::join).
    pub async fn observe<R: Registry + ?Sized>(registry: &Arc<R>, cluster: &Cluster) -> Result<Self> {
        let giving_up = pin!(pending());
        patient(Self::follow(registry, cluster, Tally::default(), Holding::default(), giving_up)).await
    }

    /// A part that is configured instead of agreed upon: the same for ever, and no registry is needed.
    ///
    /// # Errors
    /// `InvalidInput` unless there are workers, and all of them fit into the total.
    pub fn fixed(base: u64, workers: u64, total: u64) -> Result<Self> {
        let (_, told) = watch::channel(Told::fixed(Share::fixed(base, workers, total)?));
        Ok(Self { told, last: None, losses: 0, task: None })
    }

    /// Joins with stable slots: takes the lowest free indices, as many in a row as the member has workers, and keeps them
    /// until it leaves. So nobody else moves when it does; its indices stay free until somebody takes them, and `total` is
    /// the highest taken index plus one. Members that join otherwise do not see these, nor the other way round.
    ///
    /// When one of the indices is lost in an outage, there is no part until a block is claimed anew, which may be another one.
    /// Returns when the block is taken. Waiting and cancelling are as for [`join`](Self::join).
    ///
    /// # Errors
    /// As [`join`](Self::join), and `InvalidInput` for more than [`MAX_SLOTS`] workers. Two instances of one name that begin
    /// in the same moment are not noticed; they have different indices all the same.
    pub async fn claim<R: Registry + ?Sized>(registry: &Arc<R>, cluster: &Cluster, member: Member) -> Result<Self> {
        patient(Self::claim_unless(registry, cluster, member, pending())).await
    }

    /// Claims unless `giving_up` ends before that. Then everything that was taken is given back before `None` is returned,
    /// in two seconds at most, as for [`join_unless`](Self::join_unless). The same for an error.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    pub async fn claim_unless<R: Registry + ?Sized>(
        registry: &Arc<R>,
        cluster: &Cluster,
        member: Member,
        giving_up: impl Future<Output = ()>,
    ) -> Result<Option<Self>> {
        let claim = Claim::new(registry, cluster.slots()?, member)?;
        let mut giving_up = pin!(giving_up);
        let Some((slots, events, holding)) = claim.first_time(&mut giving_up).await? else { return Ok(None) };
        let (shares, told) = watch::channel(Told::default());
        let driver = settled(Driver::new(slots, events, holding, shares), giving_up).await?;
        Ok(driver.map(|driver| Self::start(told, |leave| claim_again_when_lost(driver, claim, leave))))
    }

    /// Observes stable slots without taking any. As [`observe`](Self::observe).
    pub async fn observe_slots<R: Registry + ?Sized>(registry: &Arc<R>, cluster: &Cluster) -> Result<Self> {
        let (mut slots, mut events) = (Slots::default(), registry.subscribe(cluster.slots()?));
        first(&mut slots, &mut events).await?;
        let (shares, told) = watch::channel(Told::default());
        let driver = Driver::new(slots, events, Holding::default(), shares);
        Ok(Self::start(told, |leave| keep(driver, leave)))
    }

    /// The share as it is now. A look at the clock decides whether there still is a part: a process that was frozen for
    /// longer than its time to live finds out here.
    pub fn share(&self) -> Share {
        self.told.borrow().share()
    }

    /// The share when it differs from the one that was returned last, the first time at once; what was true only for a
    /// moment in between may be skipped. Never skipped is the loss of a part: a share without one is returned even when the
    /// same part is there again, for it may have been another's meanwhile. Cancel safe.
    ///
    /// # Errors
    /// Final: `Evicted` when somebody removed the member's entry, and what a subscription ends with (bad credentials).
    /// There is no part any more.
    pub async fn changed(&mut self) -> Result<Share> {
        loop {
            {
                let told = self.told.borrow_and_update();
                if let Some(over) = &told.over {
                    return Err(over.error());
                }
                let mut share = told.share();
                if std::mem::replace(&mut self.losses, told.losses) != told.losses
                    && self.last.is_some_and(|last| last.base.is_some())
                {
                    share = share.without_part();
                }
                if self.last.is_none_or(|last| !last.agrees_with(&share)) {
                    self.last = Some(share);
                    return Ok(share);
                }
            }
            if self.told.changed().await.is_err() {
                match &self.task {
                    Some(_) => return Err(Error::new(ErrorKind::Unexpected, "the task of this partition has ended")),
                    None => pending().await,
                }
            }
        }
    }

    /// Leaves: the entries are given back. They are given back 32 at a time, which takes ten seconds each time at most, and the
    /// partition is over even when it fails; then the time to live removes the entries.
    ///
    /// # Errors
    /// As the backend says, when it could not be told.
    pub async fn leave(mut self) -> Result<()> {
        let Some((leave, task)) = self.task.take() else { return Ok(()) };
        let _ = leave.send(());
        task.await.unwrap_or_else(|error| Err(Error::new(ErrorKind::Unexpected, "could not leave").because(error)))
    }

    async fn follow<R: Registry + ?Sized>(
        registry: &Arc<R>,
        cluster: &Cluster,
        mut tally: Tally,
        mut holding: Holding,
        mut giving_up: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Option<Self>> {
        let mut events = registry.subscribe(cluster.dir());
        let listed = tokio::select! {
            biased;
            listed = first(&mut tally, &mut events) => listed.map(Some),
            () = &mut giving_up => Ok(None),
        };
        if !matches!(listed, Ok(Some(_))) {
            give_up(&mut holding).await;
            return listed.map(|_| None);
        }
        let (shares, told) = watch::channel(Told::default());
        let driver = settled(Driver::new(tally, events, holding, shares), giving_up).await?;
        Ok(driver.map(|driver| Self::start(told, |leave| keep(driver, leave))))
    }

    fn start<F>(told: watch::Receiver<Told>, task: impl FnOnce(oneshot::Receiver<()>) -> F) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let (leave, asked) = oneshot::channel();
        Self { told, last: None, losses: 0, task: Some((leave, tokio::spawn(task(asked)))) }
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partition").field("share", &self.share()).finish_non_exhaustive()
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        if let Some((_, task)) = &self.task {
            task.abort();
        }
    }
}
