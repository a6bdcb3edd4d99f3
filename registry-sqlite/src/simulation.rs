//! Schedules from a seed: processes on two clocks, one of which may jump, share a store. `SEED` plays one again,
//! `SCHEDULES` says how many.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use registry_core::{Bytes, Dir, Key, Lease, RegisterOptions};

use crate::clock::Clock;
use crate::config::Config;
use crate::store::Store;

/// How much of a schedule has events, in milliseconds; then it becomes quiet, and everything has to come right.
const EVENTFUL: i64 = 60_000;
/// After its TTL, as long as somebody on the same clock is awake.
const SLACK: i64 = 2_000;
/// The longest step. Who is awake looks at each.
const STEP: i64 = 400;
const LONGEST_TTL: i64 = 12_000;

#[test]
fn schedules_on_two_clocks() {
    let number = |name: &str| env::var(name).ok().map(|value| value.parse::<u64>().expect("a number"));
    if let Some(seed) = number("SEED") {
        return World::new(seed).play();
    }
    let first = number("FIRST").unwrap_or(1);
    let mut evicted = 0;
    for seed in first..first + number("SCHEDULES").unwrap_or(20) {
        let played = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            world.play();
            world.evicted
        });
        evicted += played.unwrap_or_else(|panic| {
            println!("play it again: SEED={seed} cargo test -p registry-sqlite --lib simulation");
            std::panic::resume_unwind(panic)
        });
    }
    // Else nothing was tested.
    assert!(evicted > 0);
}

struct World {
    place: tempfile::TempDir,
    random: Rng,
    /// Time as it passes for all.
    now: i64,
    clocks: [Arc<AtomicI64>; 2],
    members: Vec<Member>,
    visitors: Vec<(Process, i64)>,
    /// What became of those who died, until they are gone: by their names.
    dead: BTreeMap<String, Last>,
    /// When the clocks jumped.
    jumped_at: [i64; 2],
    seen: i64,
    reader: rusqlite::Connection,
    evicted: u32,
}

struct Process {
    clock: usize,
    store: Store,
}

struct Member {
    process: Process,
    name: String,
    ttl: i64,
    lease: Lease,
    watches: bool,
    /// By its own clock.
    renews_at: i64,
    /// By the time of all.
    renewed_at: i64,
    frozen_until: i64,
    /// Whether it was frozen at all since its last renewal.
    was_frozen: bool,
}

/// The last renewal of one that died.
struct Last {
    clock: usize,
    ttl: i64,
    renewed_at: i64,
    died_at: i64,
}

fn key(name: &str) -> Key {
    Dir::new("/clusters/web").and_then(|dir| dir.key(name)).expect("a valid name")
}

impl World {
    fn new(seed: u64) -> Self {
        let place = tempfile::tempdir().expect("a directory");
        let mut random = Rng::with_seed(seed);
        let clocks = [random.i64(1..10_000_000), random.i64(1..10_000_000)].map(|time| Arc::new(AtomicI64::new(time)));
        let path = place.path().join("registry.db");
        drop(Store::open(&Config::new(&path)).expect("a store"));
        let reader = rusqlite::Connection::open(&path).expect("opened");
        Self {
            place,
            random,
            now: 0,
            clocks,
            members: Vec::new(),
            visitors: Vec::new(),
            dead: BTreeMap::new(),
            jumped_at: [i64::MIN; 2],
            seen: 1,
            reader,
            evicted: 0,
        }
    }

    fn open(&self, clock: usize) -> Process {
        let id = i64::try_from(clock).expect("small") + 100;
        let config = Config::new(self.place.path().join("registry.db"));
        let store = Store::open_by(&config, Clock::simulated(id, Arc::clone(&self.clocks[clock]))).expect("opened");
        Process { clock, store }
    }

    fn time(&self, clock: usize) -> i64 {
        self.clocks[clock].load(Ordering::Relaxed)
    }

    fn play(&mut self) {
        for number in 0..4 {
            self.begin(number, number.is_multiple_of(2));
        }
        let mut number = 4;
        while self.now < EVENTFUL {
            self.step();
            match self.random.u32(0..60) {
                0 => {
                    let watches = self.random.bool();
                    self.begin(number, watches);
                }
                1 => self.kill(),
                2 => self.freeze(),
                3 | 4 => self.jump(),
                5..=12 => {
                    let clock = self.random.usize(0..2);
                    let visitor = self.open(clock);
                    self.visitors.push((visitor, self.now + 20_000));
                }
                _ => {}
            }
            number += 1;
        }
        // Somebody watches, on one of the clocks.
        self.begin(number, true);
        let quiet = self.now + 2 * LONGEST_TTL + 2 * SLACK;
        while self.now < quiet {
            self.step();
        }
        let listed: BTreeSet<_> = self.entries();
        let living: BTreeSet<_> = self.members.iter().map(|member| member.name.clone()).collect();
        assert_eq!(listed, living, "in the end");
    }

    fn step(&mut self) {
        let passed = self.random.i64(50..=STEP);
        self.now += passed;
        for clock in &self.clocks {
            clock.fetch_add(passed, Ordering::Relaxed);
        }
        let mut order: Vec<_> = (0..self.members.len()).collect();
        self.random.shuffle(&mut order);
        // Who comes to read may be the first one after a jump.
        self.visit();
        self.read_history();
        for member in order {
            self.act(member);
            self.read_history();
        }
        self.check_dead();
    }

    /// Each of them reads until its answer is settled, and goes; some stay for a while, and read again.
    fn visit(&mut self) {
        for (mut visitor, until) in std::mem::take(&mut self.visitors) {
            let settled = visitor.store.settle().expect("settled").is_none();
            visitor.store.list(&Dir::new("/clusters/web").expect("valid").into()).expect("listed");
            if self.now < until && !(settled && self.random.bool()) {
                self.visitors.push((visitor, until));
            }
        }
    }

    fn act(&mut self, which: usize) {
        let (now, time) = (self.now, self.time(self.members[which].process.clock));
        let member = &mut self.members[which];
        if now < member.frozen_until {
            return;
        }
        if member.watches && time < member.renews_at {
            member.process.store.look().expect("looked");
        }
        if time < member.renews_at {
            return;
        }
        if let Err(error) = member.process.store.renew(&member.lease, None) {
            assert!(member.was_frozen, "{} lived, and lost its entry at {now}: {error}", member.name);
            member.lease = register(&mut member.process.store, &member.name, member.ttl);
        }
        member.renews_at = time + member.ttl / 3;
        member.renewed_at = now;
        member.was_frozen = false;
    }

    fn begin(&mut self, number: u64, watches: bool) {
        let clock = self.random.usize(0..2);
        let mut process = self.open(clock);
        let (name, ttl) = (format!("m{number}"), self.random.i64(2_000..=LONGEST_TTL));
        let lease = register(&mut process.store, &name, ttl);
        let renews_at = self.time(clock) + ttl / 3;
        self.members.push(Member {
            process,
            name,
            ttl,
            lease,
            watches,
            renews_at,
            renewed_at: self.now,
            frozen_until: self.now,
            was_frozen: false,
        });
    }

    fn kill(&mut self) {
        if self.members.len() > 1 {
            let member = self.members.swap_remove(self.random.usize(0..self.members.len()));
            let (clock, ttl, renewed_at) = (member.process.clock, member.ttl, member.renewed_at);
            // Else it was frozen, and is gone already.
            if self.entries().contains(&member.name) {
                self.dead.insert(member.name, Last { clock, ttl, renewed_at, died_at: self.now });
            }
        }
    }

    fn freeze(&mut self) {
        let (which, long) = (self.random.usize(0..self.members.len()), self.random.i64(500..2 * LONGEST_TTL));
        let member = &mut self.members[which];
        (member.frozen_until, member.was_frozen) = (self.now + long, true);
    }

    /// As when a machine is restored from a snapshot. Nobody had a chance to do anything in between.
    fn jump(&mut self) {
        let by = self.random.i64(6_000..10_000_000);
        for clock in 0..2 {
            if self.random.bool() {
                self.clocks[clock].fetch_add(by, Ordering::Relaxed);
                self.jumped_at[clock] = self.now;
            }
        }
    }

    fn entries(&self) -> BTreeSet<String> {
        let mut statement = self.reader.prepare_cached("SELECT path FROM entries").expect("prepared");
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).expect("read");
        rows.map(|path| path.expect("read").rsplit('/').next().unwrap_or_default().to_owned()).collect()
    }

    /// Whoever was removed must have deserved it.
    fn read_history(&mut self) {
        let mut statement = self
            .reader
            .prepare_cached("SELECT position, path FROM history WHERE position > ?1 AND kind = 2 ORDER BY position")
            .expect("prepared");
        let rows = statement.query_map([self.seen], |row| Ok((row.get(0)?, row.get(1)?))).expect("read");
        let gone: Vec<(i64, String)> = rows.map(|row| row.expect("read")).collect();
        drop(statement);
        for (position, path) in gone {
            (self.seen, self.evicted) = (position, self.evicted + 1);
            let name = path.rsplit('/').next().unwrap_or_default();
            let (clock, ttl, renewed_at) = if let Some(last) = self.dead.remove(name) {
                (last.clock, last.ttl, last.renewed_at)
            } else {
                let member = self.members.iter().find(|member| member.name == name).expect("it was there");
                assert!(member.was_frozen, "{name} lived, and was evicted at {}", self.now);
                (member.process.clock, member.ttl, member.renewed_at)
            };
            let early = self.now - renewed_at < ttl && self.jumped_at[clock] < renewed_at;
            assert!(!early, "{name}, renewed at {renewed_at} for {ttl} ms, was evicted at {}", self.now);
        }
    }

    /// As long as nothing disturbs those who watch on its clock, one that died goes in time.
    fn check_dead(&self) {
        for (name, last) in &self.dead {
            let due = last.renewed_at + last.ttl + SLACK + STEP;
            let watched = self.members.iter().any(|member| {
                let awake = member.frozen_until < last.died_at;
                member.watches && member.process.clock == last.clock && awake && member.renewed_at <= self.now
            });
            let disturbed = self.jumped_at[last.clock] > last.renewed_at;
            // One that began to watch after it had died may take a second longer, which is in the slack.
            assert!(
                !watched || disturbed || self.now <= due.max(last.died_at + SLACK),
                "{name} is still there at {}",
                self.now
            );
        }
    }
}

fn register(store: &mut Store, name: &str, ttl: i64) -> Lease {
    let ttl = Duration::from_millis(ttl.unsigned_abs());
    store.register(&key(name), &Bytes::new(), &RegisterOptions::new(), ttl).expect("registered")
}
