//! A lock that at most one holder has, or at most a number of them.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use registry_core::{Bytes, Dir, Error, Index, Registry, Result};
use tokio::time::Instant;

use crate::line::{Line, Turn};

/// A lock: exclusive, or counted with [`permits`](Lock::permits). Fair: whoever asks first is served first.
///
/// # Guarantee
///
/// As long as every holder stops at [`Guard::lost`], at most as many hold it at once as there are permits. It stands on
/// clocks that run equally fast, and on nobody removing entries by hand.
///
/// A holder that does not stop in time (frozen in the middle of a write, say) is only kept from doing harm by whoever it
/// writes to: pass [`Guard::token`] with each write, and let the receiver refuse a token smaller than the largest it has
/// seen. Without that check no lock with a time to live is safe.
///
/// # Shape
///
/// Each contender has an entry with a random name in the lock's directory; its value is free. The oldest entries hold the
/// lock. The server's own lock calls are not used: etcd 3.3 and 3.4 grant them to sessions that have ended already.
#[derive(Clone, Debug)]
pub struct Lock {
    line: Line,
}

impl Lock {
    /// The lock of a directory, which must hold nothing else.
    pub fn new<R: Registry + ?Sized>(registry: Arc<R>, dir: Dir) -> Self {
        Self { line: Line::new(registry, dir) }
    }

    /// How many may hold it at once; 1 unless told. Everybody must name the same number.
    pub fn permits(mut self, permits: NonZeroUsize) -> Self {
        self.line.permits = permits;
        self
    }

    /// How long it stays taken when its holder dies; [`DEFAULT_TTL`](registry_core::DEFAULT_TTL) unless told.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.line.ttl = Some(ttl);
        self
    }

    /// How long to wait for it; for ever unless told. With no patience at all, a lock that is free is still had.
    pub fn patience(mut self, limit: Duration) -> Self {
        self.line.patience = Some(limit);
        self
    }

    /// Waits for the lock. `value` is for people who look at the registry: who holds it.
    ///
    /// Cancel safe: dropping the future gives up the place in the line, in the background.
    ///
    /// # Errors
    /// `Timeout` when the patience is over. `Evicted` when somebody removed the waiting entry. Otherwise only what waiting
    /// cannot mend: `InvalidInput`, `Unsupported`, bad credentials. An outage is waited out, and so is a refusal that comes while
    /// it waits.
    pub async fn acquire(&self, value: impl Into<Bytes>) -> Result<Guard> {
        let acquired = self.acquire_unless(std::future::pending(), value).await?;
        // Nobody gives up.
        acquired.ok_or_else(|| self.line.too_late())
    }

    /// Waits for the lock for at most this long.
    ///
    /// # Errors
    /// As [`acquire`](Lock::acquire).
    pub async fn acquire_within(&self, limit: Duration, value: impl Into<Bytes>) -> Result<Guard> {
        self.clone().patience(limit).acquire(value).await
    }

    /// Waits for the lock until `giving_up` ends, and leaves the line before it returns `None`: for a process that ends
    /// then, and would take what runs in the background with it. That may take two seconds while the registry does not
    /// answer.
    ///
    /// # Errors
    /// As [`acquire`](Lock::acquire).
    pub async fn acquire_unless(
        &self,
        giving_up: impl Future<Output = ()>,
        value: impl Into<Bytes>,
    ) -> Result<Option<Guard>> {
        Ok(self.line.turn(value.into(), giving_up).await?.map(|turn| Guard { turn }))
    }
}

/// The lock is held. Dropping it gives the lock back in the background; the time to live is the backstop.
#[derive(Debug)]
pub struct Guard {
    pub(crate) turn: Turn,
}

impl Guard {
    /// The fencing token. It is greater than that of everybody who held an exclusive lock before; of a counted one, than
    /// that of everybody who asked for it before.
    pub fn token(&self) -> Index {
        self.turn.token()
    }

    /// Whether the lock is still held. False before anybody else can have it, by a look at the clock: also for a process
    /// that has just been thawed. Once false it stays false. Makes no request.
    pub fn held(&self) -> bool {
        self.turn.held()
    }

    /// Returns when the lock is not held any more; until then nobody else can have it. Cancel safe.
    pub async fn lost(&self) {
        self.turn.lost().await;
    }

    /// Returns as much as `margin` before that, when no renewal has come in time to move it on: for who needs a while to
    /// stop. Returns the moment by which to have stopped. Cancel safe.
    pub async fn lost_within(&self, margin: Duration) -> Instant {
        self.turn.lost_within(margin).await
    }

    /// Why it was lost: `LeaseLost`, or `Evicted` when somebody removed the entry. The loss is noticed before its reason is
    /// known, so the registry has up to two seconds to say it. Cancel safe.
    pub async fn loss(&self) -> Error {
        self.turn.loss().await
    }

    /// Asks the server whether the lock is held, and renews it. It also finds an eviction that was not told yet.
    ///
    /// # Errors
    /// `LeaseLost` or `Evicted` when it is not held; `Unavailable` or `Timeout` when that could not be found out.
    pub async fn check(&self) -> Result<()> {
        self.turn.check().await
    }

    /// Gives the lock back. The next one in line has it at once.
    ///
    /// # Errors
    /// When the registry could not be told; then the time to live gives it back.
    pub async fn release(self) -> Result<()> {
        self.turn.release().await
    }
}
