//! Contenders for a lock, exclusive or counted, and candidates of an election.

use std::num::NonZeroUsize;
use std::time::Duration;

use fastrand::Rng;
use registry_core::{Dir, ErrorKind, Index, Result};
use registry_recipes::{Election, Guard, Leader, Lock};
use tokio::time::{Instant, sleep, timeout};

use super::world::{World, pass_some_time, some_time};
use crate::support::millis;

/// So often somebody looks whether he still holds what he holds.
const LOOK: Duration = millis(100);
/// While its watch is interrupted a holder renews so many times in a TTL.
const UNWATCHED: u32 = 12;

#[derive(Clone)]
enum Recipe {
    Lock(Lock),
    Election(Election),
}

pub(super) struct Contender<'w> {
    world: &'w World,
    who: String,
    recipe: Recipe,
    dir: Dir,
    permits: usize,
    ttl: Duration,
    rng: Rng,
}

impl<'w> Contender<'w> {
    pub(super) fn for_lock(
        world: &'w World,
        who: String,
        dir: Dir,
        permits: NonZeroUsize,
        ttl: Duration,
        rng: Rng,
    ) -> Self {
        let recipe = Recipe::Lock(Lock::new(world.link(), dir.clone()).permits(permits).ttl(ttl));
        Self { world, who, recipe, dir, permits: permits.get(), ttl, rng }
    }

    pub(super) fn for_office(world: &'w World, who: String, dir: Dir, ttl: Duration, rng: Rng) -> Self {
        let recipe = Recipe::Election(Election::new(world.link(), dir.clone()).ttl(ttl));
        Self { world, who, recipe, dir, permits: 1, ttl, rng }
    }

    /// For as long as it is polled. When the faults are over, it keeps what it gets.
    pub(super) async fn run(&mut self) {
        loop {
            let Some(guard) = self.acquire().await else {
                pass_some_time(&mut self.rng).await;
                continue;
            };
            self.hold(&guard).await;
            self.world.holders.borrow_mut().remove(&self.who);
            if self.rng.u8(..4) == 0 {
                drop(guard);
            } else {
                // What the registry does not hear, the TTL ends.
                let released = guard.release().await.map_err(|error| error.kind());
                self.world.say(|| format!("{}: gave it back, {released:?}", self.who));
            }
            if !self.world.over.get() {
                pass_some_time(&mut self.rng).await;
            }
        }
    }

    async fn acquire(&mut self) -> Option<Guard> {
        let limit = some_time(&mut self.rng) + millis(50);
        let patience = if self.world.over.get() { 9 } else { self.rng.u8(..10) };
        let got = match patience {
            // Given up in the middle of whatever it does.
            0 => match timeout(limit, self.ask(None)).await {
                Ok(got) => got,
                Err(_) => return None,
            },
            1 => self.ask(Some(limit)).await,
            _ => self.ask(None).await,
        };
        match got {
            Ok(guard) => {
                self.handed_out(&guard);
                Some(guard)
            }
            Err(error) if patience == 1 && error.kind() == ErrorKind::Timeout => None,
            Err(error) => panic!("{}: what the registry does is waited out: {error:?}", self.who),
        }
    }

    async fn ask(&self, patience: Option<Duration>) -> Result<Guard> {
        match (self.recipe.clone(), patience) {
            (Recipe::Lock(lock), None) => lock.acquire(self.who.clone()).await,
            (Recipe::Lock(lock), Some(limit)) => lock.acquire_within(limit, self.who.clone()).await,
            (Recipe::Election(election), None) => election.campaign(self.who.clone()).await.map(Guard::from),
            (Recipe::Election(election), Some(limit)) => {
                election.patience(limit).campaign(self.who.clone()).await.map(Guard::from)
            }
        }
    }

    /// A guard is handed out only to one of the first, by the server's order, as it was no longer ago than one answer takes.
    fn handed_out(&self, guard: &Guard) {
        self.world.update();
        let (lives, token, now) = (self.world.lives.borrow(), guard.token(), Instant::now());
        let life = lives.born_at(&self.dir, token);
        assert_eq!(&life.value[..], self.who.as_bytes(), "the token {token:#} of {} is another's", self.who);
        self.world.say(|| format!("{}: has {} as {token:#}", self.who, self.dir));
        let ahead = lives.ahead(&self.dir, life);
        assert!(ahead < self.permits, "{} is handed out to {}, and {ahead} were before it", self.dir, self.who);
        if let Some(gone) = life.gone {
            let (since, answer) = (now - gone.at, self.world.answer(self.ttl));
            assert!(
                since <= answer,
                "{} is handed out to {} as {token:#}, which ended {since:?} ago",
                self.dir,
                self.who
            );
        }
        self.world.shown.borrow_mut().handed_out += 1;
        self.world.holders.borrow_mut().insert(self.who.clone(), (self.dir.clone(), token));
    }

    /// Until it is lost or not wanted any more.
    async fn hold(&mut self, guard: &Guard) {
        let until = Instant::now() + some_time(&mut self.rng);
        loop {
            let changed = self.world.fake.changed();
            self.look(guard);
            tokio::select! {
                biased;
                () = guard.lost() => {
                    assert!(!guard.held(), "{}: lost and held", self.who);
                    return self.lost(guard);
                }
                () = changed => {}
                () = sleep(LOOK) => {}
            }
            if !self.world.over.get() && Instant::now() >= until {
                self.look(guard);
                return;
            }
        }
    }

    /// Whoever believes to hold it has it, or has had it until a moment ago.
    fn look(&self, guard: &Guard) {
        if !guard.held() {
            return;
        }
        self.world.update();
        let (lives, now) = (self.world.lives.borrow(), Instant::now());
        let Some(gone) = lives.born_at(&self.dir, guard.token()).gone else { return };
        let (since, bound) = (now - gone.at, self.world.notice(self.ttl, self.ttl / UNWATCHED));
        let token = guard.token();
        assert!(
            since <= bound,
            "{} holds {} as {token:#}, which ended {since:?} ago; {bound:?} is the bound",
            self.who,
            self.dir
        );
        let mut shown = self.world.shown.borrow_mut();
        shown.longest = shown.longest.max(since);
    }

    fn lost(&self, guard: &Guard) {
        self.world.shown.borrow_mut().lost += 1;
        self.world.say(|| format!("{}: has lost {:#}", self.who, guard.token()));
    }
}

/// Who follows an election.
pub(super) struct Follower<'w> {
    world: &'w World,
    election: Election,
    dir: Dir,
}

impl<'w> Follower<'w> {
    pub(super) fn new(world: &'w World, dir: Dir) -> Self {
        Self { world, election: Election::new(world.link(), dir.clone()), dir }
    }

    /// For as long as it is polled. Every leader that is told was one.
    pub(super) async fn run(&self) {
        let mut observer = self.election.observe();
        loop {
            let told = observer.next().await.expect("it does not end").expect("only what is permanent is an error");
            self.world.update();
            let token = told.as_ref().map(|leader: &Leader| leader.token);
            self.world.say(|| format!("the leader of {} is {}", self.dir, shown(token)));
            if let Some(token) = token {
                let lives = self.world.lives.borrow();
                let ahead = lives.ahead(&self.dir, lives.born_at(&self.dir, token));
                assert_eq!(ahead, 0, "{token:#} never led {}", self.dir);
            }
            self.world.leaders.borrow_mut().insert(self.dir.to_string(), token);
        }
    }
}

fn shown(token: Option<Index>) -> String {
    token.map_or_else(|| "nobody".to_owned(), |token| format!("{token:#}"))
}
