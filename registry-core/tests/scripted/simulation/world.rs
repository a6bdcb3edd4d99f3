//! What all parts of one schedule share.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use registry_core::{Key, Registration, Status};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{Fake, millis};

/// What may happen in a schedule. Each is harmless to some promises and not to others.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each may happen without the others")]
pub(super) struct Wild {
    /// The history may be forgotten, and the store wiped.
    pub(super) gaps: bool,
    /// The store may be restored from an old backup: the same index may then stand for something else.
    pub(super) restores: bool,
    /// Watches may lose changes.
    pub(super) lies: bool,
    /// Entries may be evicted, forgotten, and taken over.
    pub(super) robbers: bool,
    /// Permissions may be lost.
    pub(super) denials: bool,
}

impl Wild {
    fn of(rng: &mut Rng) -> Self {
        let mut one_in = |n: u8| rng.u8(..n) == 0;
        Self { gaps: one_in(2), restores: one_in(8), lies: one_in(8), robbers: one_in(2), denials: one_in(4) }
    }

    /// What is told can be compared with what was so at the index that comes with it.
    pub(super) fn indices_are_true(self) -> bool {
        !self.restores && !self.lies
    }
}

/// A registration as the monitor looks at it.
pub(super) struct Kept {
    pub(super) key: Key,
    pub(super) single: bool,
    /// The last value that was asked for.
    pub(super) value: RefCell<String>,
    pub(super) status: watch::Receiver<Status>,
    /// Taken when it is given back.
    pub(super) registration: RefCell<Option<Registration>>,
}

/// What becomes of the record of what happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    None,
    Kept,
    Printed,
}

pub(super) struct World {
    pub(super) fake: Arc<Fake>,
    pub(super) wild: Wild,
    /// Everything that was registered and not given back.
    pub(super) kept: RefCell<Vec<std::rc::Rc<Kept>>>,
    /// What justifies a gap has happened.
    pub(super) compacted: Cell<bool>,
    pub(super) replaced: Cell<bool>,
    /// An administrator has removed somebody's entry.
    pub(super) evicted: Cell<bool>,
    /// When the process last stood still.
    pub(super) thawed: Cell<Instant>,
    /// True when the faults are over and everybody reads without delay.
    pub(super) over: Cell<bool>,
    pub(super) hurry: Notify,
    begun: Instant,
    record: Record,
    /// What happened, in order, for a schedule that is played again.
    log: RefCell<Vec<String>>,
}

impl World {
    pub(super) fn new(rng: &mut Rng, fake: Arc<Fake>, record: Record) -> Self {
        let wild = Wild::of(rng);
        let now = Instant::now();
        Self {
            fake,
            wild,
            kept: RefCell::default(),
            compacted: Cell::new(false),
            replaced: Cell::new(false),
            evicted: Cell::new(false),
            thawed: Cell::new(now),
            over: Cell::new(false),
            hurry: Notify::new(),
            begun: now,
            record,
            log: RefCell::default(),
        }
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

    /// Waits, unless the faults are over.
    pub(super) async fn dawdle(&self, span: Duration) {
        let hurry = self.hurry.notified();
        if !self.over.get() {
            let _ = timeout(span, hurry).await;
        }
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
