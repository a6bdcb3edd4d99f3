//! What goes wrong, one thing after the other. First of all, leases of living owners are revoked.

use std::time::Duration;

use fastrand::Rng;
use registry_core::{Dir, ErrorKind, Key, Moment, Removed};
use tokio::time::{Instant, advance, sleep};

use super::world::{World, pass_some_time, some_time};
use crate::support::{Cut, Deed, Fault, Op, millis};

pub(super) struct Chaos<'w> {
    world: &'w World,
    rng: Rng,
}

/// Where everything is.
pub(super) fn everything() -> Dir {
    Dir::new("/sim").expect("a valid path")
}

impl<'w> Chaos<'w> {
    pub(super) fn new(world: &'w World, rng: Rng) -> Self {
        Self { world, rng }
    }

    pub(super) async fn run(&mut self) {
        for _ in 0..self.rng.u8(8..30) {
            match self.rng.u8(..12) {
                0 => self.revoke_one(),
                1..=2 => self.revoke_the_first().await,
                3 => self.revoke_many(),
                4..=5 => self.be_late(),
                6 => self.answer_slowly(),
                7..=11 if self.world.wild.rough => self.disturb().await,
                _ => self.cut(),
            }
            pass_some_time(&mut self.rng).await;
        }
    }

    /// The entries that are there, the oldest first: their names are random.
    fn living(&self, dir: &Dir) -> Vec<Key> {
        let mut entries = self.world.fake.change(|core| core.oracle.list(&dir.into()).entries);
        entries.sort_by_key(|entry| entry.index.position());
        entries.iter().map(|entry| dir.key(entry.name.as_str()).expect("a valid name")).collect()
    }

    fn revoke(&self, key: Key) {
        self.world.say(|| format!("revoked in {}", key.dir()));
        self.world.shown.borrow_mut().revoked += 1;
        self.world.fake.change(|core| core.oracle.commit(vec![(key, Deed::Remove(Removed::Expired))]));
    }

    fn revoke_one(&mut self) {
        let living = self.living(&everything());
        if let Some(key) = self.rng.choice(living) {
            self.revoke(key);
        }
    }

    /// Who holds a lock, and soon after that whoever is let in, or was about to be.
    async fn revoke_the_first(&mut self) {
        let Some(dir) = self.rng.choice(self.world.dirs.clone()) else { return };
        for _ in 0..self.rng.u8(1..4) {
            if let Some(first) = self.living(&dir).into_iter().next() {
                self.revoke(first);
            }
            let soon = if self.rng.bool() { 5 } else { 400 };
            sleep(millis(self.rng.u64(..soon))).await;
        }
    }

    /// As a leader does it that was frozen for longer than a TTL.
    fn revoke_many(&mut self) {
        let one_in = self.rng.u8(1..4);
        for key in self.living(&everything()) {
            if self.rng.u8(..one_in) == 0 {
                self.revoke(key);
            }
        }
        // It is seen that another server leads, which must keep nobody's loss back.
        self.world.fake.change(|core| core.led = Some(Moment::now()));
    }

    /// Watches are late, each as late as its replica.
    fn be_late(&mut self) {
        let most = u64::try_from(self.world.wild.lag.as_millis() / 2).expect("a short time");
        let lag = millis(self.rng.u64(..=most));
        let replicas: Vec<_> = (0..3).map(|_| millis(self.rng.u64(..=most))).collect();
        let whole = self.rng.bool();
        self.world.say(|| format!("late by {lag:?} and {replicas:?}"));
        self.world.fake.change(|core| (core.lag, core.replicas, core.whole) = (lag, replicas, whole));
    }

    fn answer_slowly(&mut self) {
        let most = u64::try_from(self.world.wild.slow.as_millis()).expect("a short time");
        let mut rng = self.rng.fork();
        self.world.say(|| "slow answers".to_owned());
        let chance = move |_| (most > 0 && rng.bool()).then(|| Fault::Slow(millis(rng.u64(..=most))));
        self.world.fake.change(|core| core.script.chance = Some(Box::new(chance)));
    }

    /// All watches break, and whoever has one notices it.
    fn cut(&mut self) {
        let cut = if self.rng.bool() { Cut::End } else { Cut::Fail(ErrorKind::Unavailable) };
        self.world.say(|| format!("cut: {cut:?}"));
        self.world.fake.cut(cut);
    }

    /// What lets somebody believe in an ownership until its time is over.
    async fn disturb(&mut self) {
        let fake = &self.world.fake;
        let what = self.rng.u8(..6);
        self.world.say(|| format!("disturb {what}"));
        match what {
            0 => {
                fake.outage();
                self.away().await;
                fake.change(|core| core.script.restore());
            }
            1 => {
                fake.cut(Cut::Silence);
                self.away().await;
            }
            2 => self.chance(),
            3 => {
                // The process stands still, and the world does not.
                let (from, span) = (Instant::now(), millis(self.rng.u64(..20_000)));
                self.world.stood.set((from, from + span));
                advance(span).await;
            }
            _ => {
                let links = self.world.links.borrow().clone();
                let some: Vec<_> = links.into_iter().filter(|_| self.rng.u8(..3) == 0).collect();
                for link in &some {
                    link.set(false);
                }
                self.away().await;
                for link in &some {
                    link.set(true);
                }
            }
        }
    }

    /// Meanwhile leases are revoked.
    async fn away(&mut self) {
        let until = Instant::now() + some_time(&mut self.rng) + Duration::from_secs(1);
        while Instant::now() < until {
            if self.rng.u8(..3) == 0 {
                self.revoke_one();
            }
            sleep(millis(self.rng.u64(1..3000))).await;
        }
    }

    /// Any call may go wrong from now on.
    fn chance(&mut self) {
        let (one_in, mut rng) = (self.rng.u8(3..12), self.rng.fork());
        let chance = move |op| {
            (rng.u8(..one_in) == 0).then(|| {
                let span = millis(rng.u64(..6000));
                match rng.u8(..7) {
                    0 => Fault::Fail(ErrorKind::Unavailable),
                    1 => Fault::Fail(ErrorKind::Unexpected),
                    2 => Fault::Hang,
                    3 => Fault::Slow(span),
                    4 => Fault::Late(span),
                    // Backends make each update depend on the one before, so that an old one cannot come last.
                    5 if op != Op::Update => Fault::Overtaken(span / 2),
                    _ => Fault::AnswerLost,
                }
            })
        };
        self.world.fake.change(|core| core.script.chance = Some(Box::new(chance)));
    }
}
