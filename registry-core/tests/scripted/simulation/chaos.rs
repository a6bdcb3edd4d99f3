//! What goes wrong, one thing after the other.

use std::time::Duration;

use fastrand::Rng;
use registry_core::{Condition, ErrorKind, Removed};
use tokio::time::{Instant, advance, sleep};

use super::world::{World, pass_some_time};
use crate::support::{Cut, Deed, Fault, Op, bytes, key, millis, seconds};

const OPS: [Op; 7] = [Op::Register, Op::Renew, Op::Update, Op::Deregister, Op::Remove, Op::List, Op::Watch];

pub(super) struct Chaos<'w> {
    world: &'w World,
    rng: Rng,
    written: u32,
}

impl<'w> Chaos<'w> {
    pub(super) fn new(world: &'w World, rng: Rng) -> Self {
        Self { world, rng, written: 0 }
    }

    pub(super) async fn run(&mut self) {
        for _ in 0..self.rng.u8(5..30) {
            match self.rng.u8(..12) {
                6..=8 => self.disturb().await,
                9 if self.world.wild.robbers => self.rob(),
                10 if self.world.wild.gaps || self.world.wild.restores => self.forget().await,
                11 if self.world.wild.lies => self.lie(),
                _ => self.write(),
            }
            pass_some_time(&mut self.rng).await;
        }
    }

    fn name(&mut self) -> String {
        format!("n{}", self.rng.u8(..7))
    }

    /// The name of an entry that somebody keeps.
    fn owned(&mut self) -> String {
        format!("o{}", self.rng.u8(..2))
    }

    fn value(&mut self) -> String {
        self.written += 1;
        self.written.to_string()
    }

    /// Sound changes.
    fn write(&mut self) {
        let (fake, name, value) = (&self.world.fake, self.name(), self.value());
        let what = self.rng.u8(..10);
        self.world.say(|| format!("write {what} {name}={value}"));
        match what {
            0..=3 => _ = fake.put(&name, &value),
            4..=5 => fake.evict(&name),
            6 => {
                let count = self.rng.u8(2..40);
                for burst in 0..count {
                    fake.put(&format!("n{}", burst % 9), &format!("{value}.{burst}"));
                }
            }
            7 => {
                let other = self.name();
                let deeds = [(key(&name), Deed::Put(bytes(&value))), (key(&other), Deed::Remove(Removed::Deleted))];
                if name != other {
                    fake.change(|core| core.oracle.commit(deeds.into()));
                }
            }
            8 => {
                let span = millis(self.rng.u64(1..5000));
                let mortal = |oracle: &mut crate::support::Oracle| {
                    oracle.register(&key(&name), bytes(&value), Condition::Any, span)
                };
                fake.change(|core| mortal(&mut core.oracle)).expect("any name may be taken over");
            }
            _ => _ = fake.elsewhere(),
        }
    }

    /// Faults of the server and of the way to it.
    async fn disturb(&mut self) {
        let fake = &self.world.fake;
        let what = self.rng.u8(..10);
        self.world.say(|| format!("disturb {what}"));
        match what {
            0..=1 => {
                let cut = self.cut();
                fake.cut(cut);
            }
            2 => {
                fake.outage();
                self.away().await;
            }
            3 => {
                for op in OPS {
                    fake.every(op, Fault::Hang);
                }
                fake.cut(Cut::Silence);
                self.away().await;
            }
            4 => {
                let (after, cut) = (self.rng.usize(..4), self.cut());
                fake.plan(after, cut);
            }
            5 => {
                let lag = millis(self.rng.u64(..1500));
                fake.change(|core| core.lag = lag);
            }
            6 => {
                let replicas: Vec<_> = (0..3).map(|_| millis(self.rng.u64(..5000))).collect();
                fake.change(|core| core.replicas = replicas);
            }
            7 => fake.core().whole = self.rng.bool(),
            8 => {
                // The process stands still, and the world does not.
                let span = millis(self.rng.u64(..20_000));
                self.world.thawed.set(Instant::now() + span);
                advance(span).await;
            }
            _ => self.chance(),
        }
    }

    /// Any call may go wrong from now on, or none.
    fn chance(&mut self) {
        let (one_in, denials, mut rng) = (self.rng.u8(2..12), self.world.wild.denials, self.rng.fork());
        let calm = self.rng.u8(..3) == 0;
        let chance = move |op| {
            (rng.u8(..one_in) == 0).then(|| {
                let span = millis(rng.u64(..6000));
                match rng.u8(..8) {
                    0 => Fault::Fail(ErrorKind::Unavailable),
                    1 => Fault::Fail(ErrorKind::Unexpected),
                    2 => Fault::Hang,
                    3 => Fault::Slow(span),
                    4 => Fault::Late(span),
                    5 => Fault::AnswerLost,
                    6 if denials => Fault::Fail(ErrorKind::PermissionDenied),
                    // Backends make each update depend on the one before, so that an old one cannot come last.
                    _ if op == Op::Update => Fault::AnswerLost,
                    _ => Fault::Overtaken(span / 2),
                }
            })
        };
        self.world.fake.change(|core| {
            core.script.chance = if calm { None } else { Some(Box::new(chance)) };
        });
    }

    /// Nobody is answered for a while, in which the world goes on.
    async fn away(&mut self) {
        let until = Instant::now() + away_for(&mut self.rng);
        while Instant::now() < until {
            match self.rng.u8(..6) {
                0 if self.world.wild.gaps => self.compact(),
                1 if self.world.wild.robbers => self.rob(),
                2 if self.world.wild.restores => self.restore(),
                _ => self.write(),
            }
            sleep(millis(self.rng.u64(1..3000))).await;
        }
        if self.rng.bool() {
            // The first watch afterwards breaks while it catches up.
            let (after, cut) = (self.rng.usize(..4), self.cut());
            self.world.fake.plan(after, cut);
        }
        self.world.say(|| "the registry is back".to_owned());
        self.world.fake.change(|core| core.script.restore());
    }

    fn cut(&mut self) -> Cut {
        match self.rng.u8(..6) {
            0 => Cut::End,
            1 => Cut::Silence,
            2 => Cut::Fail(ErrorKind::Unexpected),
            3 if self.world.wild.gaps => {
                self.world.compacted.set(true);
                Cut::Fail(ErrorKind::Compacted)
            }
            4 if self.world.wild.denials => Cut::Fail(ErrorKind::PermissionDenied),
            _ => Cut::Fail(ErrorKind::Unavailable),
        }
    }

    /// What takes an entry from its owner.
    fn rob(&mut self) {
        let (fake, name) = (&self.world.fake, self.owned());
        let what = self.rng.u8(..4);
        self.world.say(|| format!("rob {what} {name}"));
        match what {
            0 => {
                self.world.evicted.set(true);
                fake.evict(&name);
            }
            1..=2 => fake.forget(&name),
            _ => {
                let span = seconds(self.rng.u64(1..10));
                let taken =
                    fake.change(|core| core.oracle.register(&key(&name), bytes("stranger"), Condition::Any, span));
                taken.expect("any name may be taken over");
            }
        }
    }

    async fn forget(&mut self) {
        if self.world.wild.restores && self.rng.bool() {
            self.restore();
        } else if self.world.wild.gaps {
            self.compact();
            if self.rng.bool() {
                // Whoever is connected has to come back to what was compacted.
                self.world.fake.outage();
                self.away().await;
            }
        }
    }

    fn compact(&mut self) {
        self.world.compacted.set(true);
        if self.rng.u8(..4) == 0 {
            self.world.say(|| "wipe".to_owned());
            self.world.replaced.set(true);
            self.world.fake.change(|core| core.oracle.wipe());
        } else {
            self.world.say(|| "compact".to_owned());
            self.world.fake.compact();
        }
    }

    fn restore(&mut self) {
        let position = self.world.fake.head().position().saturating_sub(self.rng.u64(..20)).max(1);
        self.world.say(|| format!("restore {position}"));
        self.world.compacted.set(true);
        self.world.replaced.set(true);
        self.world.fake.change(|core| core.oracle.roll_back(position));
        self.world.fake.cut(Cut::Fail(ErrorKind::Unavailable));
    }

    fn lie(&mut self) {
        let (fake, name, value) = (&self.world.fake, self.name(), self.value());
        self.world.say(|| format!("lie about {name}={value}"));
        fake.lose(&name);
        if self.rng.bool() { _ = fake.put(&name, &value) } else { fake.evict(&name) }
    }
}

fn away_for(rng: &mut Rng) -> Duration {
    millis(if rng.bool() { rng.u64(..3000) } else { rng.u64(..25_000) })
}
