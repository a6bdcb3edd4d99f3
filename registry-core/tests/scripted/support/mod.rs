//! The scripted registry, and what the tests read with.

mod fake;
mod oracle;
mod reader;
mod script;
mod seeds;
mod status;
mod stream;

use std::time::Duration;

use registry_core::{Bytes, Dir, Error, Key, RegisterOptions};
use tokio::time::{Instant, sleep};

pub(crate) use fake::{Fake, Reasons};
pub(crate) use oracle::{Deed, Oracle};
pub(crate) use reader::{
    Members, apply, changes, ended, fold, initial, interrupted, members, next, quiet, resumed, short, snapshot, until,
};
pub(crate) use script::{Cut, Fault, Op};
pub(crate) use seeds::play_all;
pub(crate) use status::Record;

pub(crate) fn dir() -> Dir {
    Dir::new("/clusters/web").expect("a valid path")
}

pub(crate) fn key(name: &str) -> Key {
    dir().key(name).expect("a valid name")
}

pub(crate) fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// A time to live of fifteen seconds.
pub(crate) fn options() -> RegisterOptions {
    RegisterOptions::new().ttl(seconds(15))
}

pub(crate) const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(crate) const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// How many calls there are at most in any one second.
pub(crate) fn most_in_a_second(times: &[Instant]) -> usize {
    let within = |from: &Instant| times.iter().filter(|at| *at >= from && **at < *from + seconds(1)).count();
    times.iter().map(within).max().unwrap_or(0)
}

/// The difference between the longest and the shortest of some waits.
pub(crate) fn spread(waits: &[Duration]) -> Duration {
    let (longest, shortest) = (waits.iter().max().expect("some"), waits.iter().min().expect("some"));
    longest.saturating_sub(*shortest)
}

/// The waits between moments.
pub(crate) fn gaps(times: &[Instant]) -> Vec<Duration> {
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// Lets `span` pass, and everything that is due in it happen.
pub(crate) async fn pass(span: Duration) {
    sleep(span).await;
}

/// Waits for something that is not told, at most ten minutes of the paused clock.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < seconds(600), "it does not come about: {what}");
        sleep(millis(10)).await;
    }
}

pub(crate) fn error(kind: registry_core::ErrorKind) -> Error {
    Error::new(kind, "as the script says")
}
