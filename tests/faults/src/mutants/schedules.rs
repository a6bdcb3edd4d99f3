//! What happens to mutants: each schedule is made to show one kind of defect.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use registry::{Bytes, Condition, Dir, Key, RegisterOptions};
use registry_recipes::partition::Cluster;
use tokio::time::{Instant, sleep};

use super::list::{Locking, Parting, Registering, Subject, Watching};
use super::watchers::Watcher;
use super::{locks, partitions, registrars};
use crate::Result;
use crate::fire::World;
use crate::history::{Line, What};
use crate::proxy::{Rules, Way};
use crate::subjects::{Resource, claim, hold, join, register, watch};

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Cut off while things change.
    Away,
    /// Cut off again while it catches up with many changes.
    CatchingUp,
    /// Cut off while things change and go, and the history is compacted.
    Compacted,
    /// Things change in a directory whose name begins alike.
    Neighbour,
    /// Cut off for longer than an entry lives.
    CutOff,
    /// Cut off for a moment, when a renewal is due.
    Blip,
    /// An administrator removes the entry.
    Evicted,
    /// Somebody else has the name.
    Rival,
    /// Frozen for longer than an entry lives, again and again.
    Frozen,
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Away => "cut off while things change",
            Self::CatchingUp => "cut off again while it catches up",
            Self::Compacted => "compaction while away",
            Self::Neighbour => "changes in a neighbour's directory",
            Self::CutOff => "cut off for longer than its entry lives",
            Self::Blip => "cut off when a renewal is due",
            Self::Evicted => "entry removed by an administrator",
            Self::Rival => "somebody else has the name",
            Self::Frozen => "frozen for longer than its entry lives",
        })
    }
}

/// Where everything takes place.
struct Stage {
    dir: Dir,
    neighbour: Dir,
    key: Key,
    ttl: Duration,
    compacted: Arc<AtomicU64>,
    resource: Arc<Resource>,
}

/// Puts the subject, and whom it needs, into the world, and makes things happen.
pub(super) async fn play(world: &mut World, subject: Subject, schedule: Schedule) -> Result<()> {
    let dir = Dir::new("/mutant/members")?;
    let stage = Stage {
        neighbour: Dir::new("/mutant/members-of-others")?,
        key: dir.key("own")?,
        dir,
        ttl: world.store.kind().ttl(),
        compacted: Arc::default(),
        resource: Arc::default(),
    };
    if schedule == Schedule::Rival {
        let (key, ttl) = (stage.key.clone(), stage.ttl);
        world.add("rival", move |context| register(context, key, ttl)).await?;
        holds(world, "rival").await;
    }
    stage.old_entries(world).await?;
    stage.enter(world, subject).await?;
    // Only then there is something to be lost.
    heard_of(world, "mutant").await;
    match schedule {
        Schedule::Away => stage.away(world).await,
        Schedule::CatchingUp => stage.catching_up(world).await,
        Schedule::Compacted => stage.compaction(world).await,
        Schedule::Neighbour => {
            let neighbour = stage.neighbour.clone();
            world.changes(&neighbour, 32).await;
            world.changes(&stage.dir, 32).await;
            Ok(())
        }
        Schedule::CutOff => {
            // The embedded store removes what has expired when somebody uses it.
            let dir = stage.dir.clone();
            world.add("bystander", move |context| watch(context, dir)).await?;
            mutant(world).link().cut();
            // As long as it may go on believing, and longer.
            sleep(stage.ttl * 2 + Duration::from_secs(4)).await;
            world.heal();
            Ok(())
        }
        Schedule::Blip => {
            sleep(stage.ttl.mul_f64(0.3)).await;
            mutant(world).link().cut();
            sleep(stage.ttl.mul_f64(0.2)).await;
            world.heal();
            Ok(())
        }
        Schedule::Evicted => {
            world.evict(&stage.key).await;
            sleep(stage.ttl + Duration::from_secs(5)).await;
            Ok(())
        }
        Schedule::Rival => {
            sleep(stage.ttl).await;
            Ok(())
        }
        Schedule::Frozen => stage.frozen(world, subject).await,
    }
}

impl Stage {
    /// What stands before anything happens, and goes in the course of it.
    async fn old_entries(&self, world: &World) -> Result<()> {
        let options = RegisterOptions::new().ttl(Duration::from_mins(2)).condition(Condition::Any);
        for name in ["old-0", "old-1", "old-2"] {
            world.direct.register(&self.dir.key(name)?, Bytes::from_static(b"old"), &options).await?;
        }
        Ok(())
    }

    async fn enter(&self, world: &mut World, subject: Subject) -> Result<()> {
        let (dir, key, ttl) = (self.dir.clone(), self.key.clone(), self.ttl);
        match subject {
            Subject::Watcher(Watching::Product) => world.add("mutant", move |context| watch(context, dir)).await,
            Subject::Watcher(defect) => {
                let (headers, compacted) = (Arc::clone(&world.direct), Arc::clone(&self.compacted));
                let subject = move |context| Watcher { context, dir, defect, headers, compacted }.run();
                world.add("mutant", subject).await
            }
            Subject::Registrar(Registering::Product) => {
                world.add("mutant", move |context| register(context, key, ttl)).await
            }
            Subject::Registrar(defect) => {
                world.add("mutant", move |context| registrars::register(context, key, ttl, defect)).await
            }
            Subject::Contender(defect) => {
                let lock = Dir::new("/mutant/lock")?;
                for name in ["mutant", "mutant-2"] {
                    let (lock, resource) = (lock.clone(), Arc::clone(&self.resource));
                    if defect == Locking::Product {
                        world.add(name, move |context| hold(context, lock, ttl, resource)).await?;
                    } else {
                        world.add(name, move |context| locks::hold(context, lock, ttl, resource, defect)).await?;
                    }
                }
                Ok(())
            }
            Subject::Member(defect) => {
                let cluster = Cluster::new("mutant/part", None, None)?;
                let its = cluster.clone();
                if defect == Parting::Product {
                    world.add("mutant", move |context| join(context, its, 2, ttl)).await?;
                } else {
                    world.add("mutant", move |context| partitions::take_part(context, its, ttl, defect)).await?;
                }
                heard_of(world, "mutant").await;
                // Before it in the order of names: it has to move.
                if defect == Parting::KeepsSlot {
                    world.add("a-claimant", move |context| claim(context, cluster, 2, ttl)).await
                } else {
                    world.add("a-member", move |context| join(context, cluster, 1, ttl)).await
                }
            }
        }
    }

    /// Frozen in the middle of what it does, while others are there to take what it loses.
    async fn frozen(&self, world: &mut World, subject: Subject) -> Result<()> {
        for round in 0..2 {
            sleep(Duration::from_millis(500)).await;
            if matches!(subject, Subject::Contender(_)) {
                wait(world, |lines| has_lock(lines, "mutant")).await;
            }
            mutant(world).freeze(self.ttl * 2);
            sleep(self.ttl + Duration::from_secs(1)).await;
            if (round, subject) == (0, Subject::Member(Parting::KeepsSlot)) {
                let (cluster, ttl) = (Cluster::new("mutant/part", None, None)?, self.ttl);
                world.add("late-claimant", move |context| claim(context, cluster, 2, ttl)).await?;
            }
            sleep(self.ttl).await;
        }
        Ok(())
    }

    async fn away(&self, world: &mut World) -> Result<()> {
        world.changes(&self.dir, 16).await;
        sleep(Duration::from_millis(500)).await;
        mutant(world).link().cut();
        world.changes(&self.dir, 48).await;
        self.old_ones_go(world).await?;
        sleep(Duration::from_millis(200)).await;
        world.heal();
        sleep(Duration::from_millis(500)).await;
        world.changes(&self.dir, 16).await;
        Ok(())
    }

    async fn compaction(&self, world: &mut World) -> Result<()> {
        mutant(world).link().cut();
        world.changes(&self.dir, 48).await;
        self.old_ones_go(world).await?;
        let position = world.drain().await?;
        self.compacted.store(position, Ordering::SeqCst);
        world.note(format!("compacted at {position}"));
        world.store.compact(position).await?;
        world.changes(&self.dir, 32).await;
        world.heal();
        sleep(Duration::from_millis(500)).await;
        world.changes(&self.dir, 16).await;
        Ok(())
    }

    /// Many changes are waiting, and the connection breaks after some of them were told.
    async fn catching_up(&self, world: &mut World) -> Result<()> {
        mutant(world).link().cut();
        // etcd v3 tells a thousand in one message; etcd v2 remembers no more than a thousand.
        let portions = if world.store.kind().compacts() { 7 } else { 2 };
        for _ in 0..portions {
            world.changes(&self.dir, 400).await;
            world.drain().await?;
        }
        let told = |lines: &[Line]| lines.iter().filter(|line| is_told(line)).count();
        let before = world.history.look(0, told);
        // Enough for the first thousand, which are one message of etcd v3, and not for the next.
        let bytes = if world.store.kind().compacts() { 110_000 } else { 20_000 };
        mutant(world).link().set(Rules { to_client: Way::truncated(bytes), ..Rules::default() });
        wait(world, |lines| told(lines) > before + 2).await;
        // Until it has told what it still had, and has found its way back.
        for healed in [false, true] {
            let mut before = 0;
            while std::mem::replace(&mut before, world.history.look(0, told)) != before {
                sleep(Duration::from_millis(1500)).await;
            }
            if !healed {
                world.heal();
            }
        }
        // Whoever is told these must have been told all that came before.
        world.changes(&self.dir, 16).await;
        Ok(())
    }

    async fn old_ones_go(&self, world: &World) -> Result<()> {
        for name in ["old-0", "old-1"] {
            world.direct.remove(&self.dir.key(name)?).await?;
        }
        Ok(())
    }
}

fn is_told(line: &Line) -> bool {
    line.who == "mutant" && matches!(line.what, What::Changes { .. })
}

fn mutant(world: &World) -> &crate::subjects::Client {
    world.clients.iter().find(|client| client.name() == "mutant").expect("it was put there")
}

/// Waits until somebody has something, or is refused it.
async fn heard_of(world: &World, who: &str) {
    let is_sign = |line: &Line| {
        let is_his = line.who == who;
        is_his
            && matches!(
                line.what,
                What::Snapshot { .. }
                    | What::Held { .. }
                    | What::Conflict { .. }
                    | What::Acquired { .. }
                    | What::Part { .. }
            )
    };
    wait(world, |lines| lines.iter().any(is_sign)).await;
}

async fn holds(world: &World, who: &str) {
    wait(world, |lines| lines.iter().any(|line| line.who == who && matches!(line.what, What::Held { .. }))).await;
}

/// Whether it was the last to have a lock, and has it.
fn has_lock(lines: &[Line], who: &str) -> bool {
    let last = lines.iter().rfind(|line| matches!(line.what, What::Acquired { .. } | What::Dropped { .. }));
    last.is_some_and(|line| line.who == who && matches!(line.what, What::Acquired { .. }))
}

/// What does not come is seen by the checker.
async fn wait(world: &World, is_so: impl Fn(&[Line]) -> bool) {
    let begun = Instant::now();
    while !world.history.look(0, &is_so) && begun.elapsed() < Duration::from_secs(20) {
        sleep(Duration::from_millis(5)).await;
    }
}
