//! Members of a partition, joined or with stable slots.

use std::time::Duration;

use registry_core::Dir;
use registry_recipes::partition::{Cluster, Member, Partition, Share};
use tokio::time::{Instant, sleep};

use super::history::Life;
use super::world::World;
use crate::support::millis;

const LOOK: Duration = millis(100);

pub(super) struct Part<'w> {
    world: &'w World,
    who: String,
    dir: Dir,
    claimed: bool,
    workers: u64,
    ttl: Duration,
    partition: Partition,
}

pub(super) fn joined() -> Cluster {
    Cluster::new("sim/joined", None, None).expect("a valid name")
}

pub(super) fn claimed() -> Cluster {
    Cluster::new("sim/claimed", None, None).expect("a valid name")
}

impl<'w> Part<'w> {
    pub(super) async fn join(world: &'w World, who: &str, workers: u64, ttl: Duration) -> Self {
        let member = Member::new(workers).expect("a number").id(who).expect("a name").ttl(ttl);
        let partition = Partition::join(&world.link(), &joined(), member).await.expect("joined");
        Self { world, who: who.to_owned(), dir: joined().dir().clone(), claimed: false, workers, ttl, partition }
    }

    pub(super) async fn claim(world: &'w World, who: &str, workers: u64, ttl: Duration) -> Self {
        let member = Member::new(workers).expect("a number").id(who).expect("a name").ttl(ttl);
        let partition = Partition::claim(&world.link(), &claimed(), member).await.expect("claimed");
        let dir = claimed().slots().expect("a path");
        Self { world, who: who.to_owned(), dir, claimed: true, workers, ttl, partition }
    }

    /// For as long as it is polled.
    pub(super) async fn run(&mut self) {
        loop {
            self.look();
            let changed = self.world.fake.changed();
            tokio::select! {
                biased;
                share = self.partition.changed() => {
                    let share = share.expect("nobody removes anything");
                    self.world.say(|| format!("{}: {:?} of {}", self.who, share.range(), share.total));
                }
                () = changed => {}
                () = sleep(LOOK) => {}
            }
        }
    }

    /// A part is what the registry held at its index, and the entries that it stands on are there, or were a moment ago.
    fn look(&self) {
        let share = self.partition.share();
        let mut parts = self.world.parts.borrow_mut();
        if share.base.is_none() {
            parts.remove(&self.who);
            return;
        }
        self.world.update();
        let own = if self.claimed { self.judge_slots(share) } else { self.judge_joined(share) };
        // While nobody sees the directory, a renewal tells of the loss.
        let unwatched = self.ttl / if self.claimed { 3 } else { 4 };
        let (now, bound) = (Instant::now(), self.world.notice(self.ttl, unwatched));
        for gone in own.iter().filter_map(|life| life.gone) {
            let since = now - gone.at;
            assert!(
                since <= bound,
                "{} has {share:?}, whose entry ended {since:?} ago; {bound:?} is the bound",
                self.who
            );
        }
        self.world.shown.borrow_mut().parts += 1;
        parts.insert(self.who.clone(), share);
    }

    fn judge_joined(&self, share: Share) -> Vec<Life> {
        let mut there = self.there(share);
        there.sort_by(|one, other| one.name.cmp(&other.name));
        let workers = |life: &Life| String::from_utf8_lossy(&life.value).parse::<u64>().expect("a number of workers");
        let before: u64 = there.iter().take_while(|life| life.name.as_str() != self.who).map(workers).sum();
        let total: u64 = there.iter().map(workers).sum();
        let right = (Some(before), self.workers, total);
        assert_eq!((share.base, share.workers, share.total), right, "{}: {share:?} of {there:?}", self.who);
        let own: Vec<_> = there.into_iter().filter(|life| life.name.as_str() == self.who).collect();
        assert_eq!(own.len(), 1, "{} has {share:?} without an entry", self.who);
        own
    }

    fn judge_slots(&self, share: Share) -> Vec<Life> {
        let there = self.there(share);
        let slot = |life: &Life| life.name.as_str().parse::<u64>().expect("a slot");
        assert_eq!(there.iter().map(slot).max().map(|last| last + 1), Some(share.total), "{}: {there:?}", self.who);
        let of = |at: u64| {
            let life = there.iter().find(|life| slot(life) == at && life.value[..] == *self.who.as_bytes());
            life.cloned().unwrap_or_else(|| panic!("{} has {share:?} without slot {at}: {there:?}", self.who))
        };
        assert_eq!(share.workers, self.workers);
        share.range().map(of).collect()
    }

    /// What was there at the index of a share.
    fn there(&self, share: Share) -> Vec<Life> {
        let (lives, at) = (self.world.lives.borrow(), share.index.position());
        lives.all(&self.dir).iter().filter(|life| life.was_there(at)).cloned().collect()
    }
}
