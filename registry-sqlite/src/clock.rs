//! Time that no administrator can turn: since the machine was started, counting while it is suspended. And whose time that is.

use std::fs;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A clock that processes share. Deadlines of another one mean nothing here. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    id: i64,
    /// The boot id, if this is the clock of the machine itself: the version before knew no other clock.
    boot: Option<Arc<str>>,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Machine,
    #[cfg(test)]
    Simulated(Arc<std::sync::atomic::AtomicI64>),
}

impl Clock {
    /// The clock of this process.
    pub(crate) fn of_process() -> Self {
        static THIS: LazyLock<Clock> = LazyLock::new(|| {
            let place = Place::read();
            // Without /proc nothing says whose clock it is: then nobody shares it.
            let id = place.as_ref().map_or_else(random, |place| number(&place.name));
            let boot = place.filter(|place| place.is_original).map(|place| place.boot.into());
            Clock { id, boot, source: Source::Machine }
        });
        THIS.clone()
    }

    #[cfg(test)]
    pub(crate) fn simulated(id: i64, time: Arc<std::sync::atomic::AtomicI64>) -> Self {
        Self { id, boot: None, source: Source::Simulated(time) }
    }

    /// Names it; processes with the same number read the same time.
    pub(crate) fn id(&self) -> i64 {
        self.id
    }

    pub(crate) fn boot(&self) -> Option<&str> {
        self.boot.as_deref()
    }

    /// Milliseconds since the machine was started.
    ///
    /// Not the monotonic clock: that one stands still in suspend, and a lease does not.
    pub(crate) fn now(&self) -> i64 {
        match &self.source {
            Source::Machine => {
                let time = clock_gettime(ClockId::Boottime);
                time.tv_sec * 1000 + time.tv_nsec / 1_000_000
            }
            #[cfg(test)]
            Source::Simulated(time) => time.load(std::sync::atomic::Ordering::Relaxed),
        }
    }
}

/// What the kernel says about the clock of this process.
struct Place {
    boot: String,
    name: String,
    /// Not in a time namespace of its own.
    is_original: bool,
}

impl Place {
    fn read() -> Option<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
        // Both: the number of a namespace is used again when it has ended, and the offsets are those of future children.
        let namespace = fs::read_link("/proc/self/ns/time").unwrap_or_default();
        let offsets = fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
        let is_original = offsets.lines().all(|line| line.split_whitespace().skip(1).all(|offset| offset == "0"));
        let name = format!("{boot} {} {offsets}", namespace.display());
        Some(Self { boot, name, is_original })
    }
}

/// FNV-1a: the same number in every version of this program, which the standard library's hashes do not promise.
fn number(name: &str) -> i64 {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    (hash >> 1).cast_signed()
}

fn random() -> i64 {
    let mut bytes = [0; 8];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(_) => (u64::from_ne_bytes(bytes) >> 1).cast_signed(),
        Err(_) => i64::from(std::process::id()),
    }
}

/// A duration in the unit of the clock, rounded up.
pub(crate) fn span(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros().div_ceil(1000)).unwrap_or(i64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_clock_stays_the_same_in_every_version() {
        assert_eq!(number(""), 0x65f9_4e72_4211_1192);
        assert_ne!(number("a boot time:[1] 0"), number("a boot time:[1] 1"));
        assert_eq!(Clock::of_process().id(), Clock::of_process().id());
    }
}
