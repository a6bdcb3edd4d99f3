//! How long the machine was suspended, and who notices it.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::{self, Handle};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// How soon after a suspension a wait notices it.
const STEP: Duration = Duration::from_secs(1);
/// Two clocks are read one after the other, so their difference moves a little. No suspension is as short.
pub(super) const NOISE: Duration = Duration::from_millis(10);

/// Who looks, in each runtime: a thousand waits that each woke once a second would cost more than what they wait for.
static LOOKOUTS: LazyLock<Mutex<HashMap<runtime::Id, Weak<Lookout>>>> = LazyLock::new(Mutex::default);

/// Looks for all of a runtime.
struct Lookout {
    since: Instant,
    waiting: watch::Sender<()>,
}

/// Hears of suspensions.
pub(super) struct Noticed {
    /// When the looking began, for all who hear of the same suspensions.
    pub(super) since: Instant,
    heard: watch::Receiver<()>,
}

impl Noticed {
    /// Hears of every suspension from now on, on the current runtime.
    pub(super) fn now() -> Self {
        let runtime = Handle::current().id();
        let mut lookouts = lookouts();
        if let Some(lookout) = lookouts.get(&runtime).and_then(Weak::upgrade) {
            return lookout.noticed();
        }
        let lookout = Arc::new(Lookout { since: Instant::now(), waiting: watch::Sender::default() });
        let noticed = lookout.noticed();
        // Those of runtimes that are no more.
        lookouts.retain(|_, lookout| lookout.strong_count() > 0);
        lookouts.insert(runtime, Arc::downgrade(&lookout));
        tokio::spawn(lookout.look(runtime, suspended()));
        noticed
    }

    /// Returns within a second after the next suspension. Cancel safe.
    pub(super) async fn next(&mut self) {
        if self.heard.changed().await.is_err() {
            // The runtime ends.
            std::future::pending::<()>().await;
        }
    }
}

impl Lookout {
    fn noticed(&self) -> Noticed {
        Noticed { since: self.since, heard: self.waiting.subscribe() }
    }

    /// Looks every second, for as long as anybody wants to hear of it.
    async fn look(self: Arc<Self>, runtime: runtime::Id, mut before: Duration) {
        loop {
            sleep(STEP).await;
            {
                let mut lookouts = lookouts();
                // Nobody can come before it is replaced.
                if self.waiting.receiver_count() == 0 {
                    lookouts.remove(&runtime);
                    return;
                }
            }
            let now = suspended();
            if now.saturating_sub(before) >= NOISE {
                self.waiting.send_replace(());
                before = now;
            }
        }
    }
}

/// Nothing in the critical sections panics half-way, so a poisoned lock still guards a sound state.
fn lookouts() -> MutexGuard<'static, HashMap<runtime::Id, Weak<Lookout>>> {
    LOOKOUTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long the machine has been suspended since it was started.
#[cfg(not(test))]
pub(super) fn suspended() -> Duration {
    measured()
}

/// The same, and as much as a test pretends.
#[cfg(test)]
pub(super) fn suspended() -> Duration {
    measured() + pretended::get()
}

/// One clock counts the time in suspend and the other does not; else they are the same.
#[cfg(target_os = "linux")]
fn measured() -> Duration {
    use rustix::time::{ClockId, clock_gettime};

    let read = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
    // A thread that is put aside between the two would take that for a suspension: the closest pair tells the truth.
    let pair = || {
        let (before, with, after) = (read(ClockId::Monotonic), read(ClockId::Boottime), read(ClockId::Monotonic));
        (after.saturating_sub(before), with.saturating_sub(after))
    };
    let mut best = pair();
    for _ in 0..5 {
        if best.0 < NOISE / 10 {
            break;
        }
        best = best.min(pair());
    }
    best.1
}

/// Elsewhere nobody tells.
#[cfg(not(target_os = "linux"))]
fn measured() -> Duration {
    Duration::ZERO
}

/// Suspensions that never happened, on this thread.
#[cfg(test)]
pub(crate) mod pretended {
    use std::cell::Cell;
    use std::time::Duration;

    thread_local! {
        static SO_FAR: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    }

    pub(super) fn get() -> Duration {
        SO_FAR.get()
    }

    /// The machine was suspended for this long, just now.
    pub(crate) fn suspend(duration: Duration) {
        SO_FAR.set(SO_FAR.get() + duration);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(runtime: runtime::Id) -> Option<usize> {
        lookouts().get(&runtime).and_then(Weak::upgrade).map(|lookout| lookout.waiting.receiver_count())
    }

    #[tokio::test(start_paused = true)]
    async fn one_looks_for_all_and_only_while_somebody_waits() {
        let runtime = Handle::current().id();
        let several: Vec<_> = (0..3).map(|_| Noticed::now()).collect();
        sleep(3 * STEP).await;
        assert_eq!(waiting(runtime), Some(3));
        drop(several);
        sleep(2 * STEP).await;
        assert_eq!(waiting(runtime), None, "it looks for nobody");
        let mut again = Noticed::now();
        pretended::suspend(STEP);
        again.next().await;
    }

    #[test]
    fn a_lookout_ends_with_its_runtime() {
        let start = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let runtime = start();
        let id = runtime.handle().id();
        let noticed = runtime.block_on(async { Noticed::now() });
        assert_eq!(waiting(id), Some(1));
        drop(runtime);
        assert_eq!(waiting(id), None);
        start().block_on(async { Noticed::now() });
        assert!(!lookouts().contains_key(&id), "what is no more is forgotten");
        drop(noticed);
    }

    /// What this machine counts from its start on (`/proc/uptime`, in hundredths of a second) goes on in suspend.
    #[cfg(target_os = "linux")]
    #[test]
    fn both_clocks_make_up_the_time_since_the_start() {
        use rustix::time::{ClockId, clock_gettime};

        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let running = Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap();
        let told = (running + measured()).as_secs_f64();
        assert!(told >= uptime - 0.02, "{told} since the start, and it was {uptime} before");
    }
}
