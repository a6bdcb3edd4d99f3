//! What all parts of one schedule share.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use registry_core::{Dir, Index};
use registry_recipes::partition::Share;
use registry_recipes::scheduler::Layout;
use tokio::time::{Instant, sleep};

use super::history::Lives;
use super::link::Link;
use super::nodes::{States, layout};
use crate::support::{Fake, millis};

/// What may happen in a schedule, beside revoked leases.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wild {
    /// Calls fail and hang, clients are cut off, the process stands still: a loss may go unnoticed for the whole TTL. Without
    /// that, watches are late and break, and answers are slow, within bounds.
    pub(super) rough: bool,
    /// The longest that a watch is late.
    pub(super) lag: Duration,
    /// The longest that an answer takes.
    pub(super) slow: Duration,
}

impl Wild {
    fn of(rng: &mut Rng) -> Self {
        let rough = rng.u8(..3) == 0;
        let lag = if rng.u8(..3) == 0 { Duration::ZERO } else { millis(rng.u64(100..1500)) };
        let slow = if rng.bool() { Duration::ZERO } else { millis(rng.u64(1..300)) };
        Self { rough, lag, slow }
    }
}

/// What becomes of the record of what happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    None,
    Kept,
    Printed,
}

/// What schedules have shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    /// Leases of living owners that were revoked.
    pub(super) revoked: usize,
    /// How often a lock or a leadership was handed out, and lost.
    pub(super) handed_out: usize,
    pub(super) lost: usize,
    /// How long after its end somebody believed in an ownership, at most.
    pub(super) longest: Duration,
    /// How many looks at parts there were.
    pub(super) parts: usize,
    /// How many states a scheduler wrote.
    pub(super) states: usize,
}

impl Shown {
    pub(super) fn add(&mut self, other: &Self) {
        self.revoked += other.revoked;
        self.handed_out += other.handed_out;
        self.lost += other.lost;
        self.longest = self.longest.max(other.longest);
        self.parts += other.parts;
        self.states += other.states;
    }
}

pub(super) struct World {
    pub(super) fake: Arc<Fake>,
    pub(super) wild: Wild,
    /// Everybody's way to the registry.
    pub(super) links: RefCell<Vec<Arc<Link>>>,
    /// Where something is registered.
    pub(super) dirs: Vec<Dir>,
    pub(super) layout: Layout,
    pub(super) lives: RefCell<Lives>,
    /// Who holds what: the directory and the token.
    pub(super) holders: RefCell<BTreeMap<String, (Dir, Index)>>,
    /// Who leads, as the followers of each election know it.
    pub(super) leaders: RefCell<BTreeMap<String, Option<Index>>>,
    /// The part of each member, while it has one.
    pub(super) parts: RefCell<BTreeMap<String, Share>>,
    pub(super) states: RefCell<States>,
    pub(super) shown: RefCell<Shown>,
    /// When the process last stood still, from when to when.
    pub(super) stood: Cell<(Instant, Instant)>,
    /// True when the faults are over: everybody keeps what he has.
    pub(super) over: Cell<bool>,
    begun: Instant,
    record: Record,
    log: RefCell<Vec<String>>,
}

impl World {
    pub(super) fn new(rng: &mut Rng, fake: Arc<Fake>, dirs: Vec<Dir>, record: Record) -> Self {
        let now = Instant::now();
        Self {
            fake,
            wild: Wild::of(rng),
            links: RefCell::default(),
            lives: RefCell::new(Lives::of(&dirs)),
            dirs,
            layout: layout(),
            holders: RefCell::default(),
            leaders: RefCell::default(),
            parts: RefCell::default(),
            states: RefCell::default(),
            shown: RefCell::default(),
            stood: Cell::new((now, now)),
            over: Cell::new(false),
            begun: now,
            record,
            log: RefCell::default(),
        }
    }

    pub(super) fn link(&self) -> Arc<Link> {
        let link = Link::to(&self.fake);
        self.links.borrow_mut().push(Arc::clone(&link));
        link
    }

    /// Reads what has happened by now, and judges the states that were written.
    pub(super) fn update(&self) {
        let written = self.lives.borrow_mut().update(&self.fake.core().oracle, &self.layout.states);
        for written in written {
            self.states.borrow_mut().take(self, &written);
        }
    }

    /// How long ago the registry may have said at most what it says in an answer that has just come.
    pub(super) fn answer(&self, ttl: Duration) -> Duration {
        let answer = if self.wild.rough { ttl / 3 } else { self.wild.slow } + millis(5);
        let (from, to) = self.stood.get();
        // It stood still with the answer on its way.
        if Instant::now().saturating_duration_since(to) <= answer { answer + (to - from) } else { answer }
    }

    /// How long after the end of an entry its owner may believe in it at most, when it is renewed after `unwatched` at the latest
    /// while its watch is interrupted.
    pub(super) fn notice(&self, ttl: Duration, unwatched: Duration) -> Duration {
        if self.wild.rough {
            return ttl;
        }
        // A renewal that was answered slowly, the next one, and its answer.
        let renewed = unwatched + 2 * self.wild.slow;
        (self.wild.lag + renewed + millis(20)).min(ttl)
    }

    pub(super) fn say(&self, what: impl FnOnce() -> String) {
        if self.record != Record::None {
            let line = format!("{:>9.3} {}", self.begun.elapsed().as_secs_f64(), what());
            if self.record == Record::Printed {
                println!("{line}");
            }
            self.log.borrow_mut().push(line);
        }
    }

    pub(super) fn log(&self) -> Vec<String> {
        self.log.take()
    }
}

/// Mostly a moment, sometimes long.
pub(super) fn some_time(rng: &mut Rng) -> Duration {
    millis(match rng.u8(..8) {
        0..=3 => rng.u64(..60),
        4..=5 => rng.u64(..900),
        6 => rng.u64(..4000),
        _ => rng.u64(..16_000),
    })
}

pub(super) async fn pass_some_time(rng: &mut Rng) {
    let span = some_time(rng);
    sleep(span).await;
}
