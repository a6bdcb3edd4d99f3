//! How each fault is brought about, and healed.

use std::time::Duration;

use registry::{Dir, Key};
use tokio::time::sleep;

use super::churn::burst;
use super::{Fault, World};
use crate::Result;
use crate::history::{Line, What, now};
use crate::proxy::{Rules, Way};

/// A window of changes that etcd v2 remembers, and then some.
const MANY: usize = 1200;
/// What the oracle reads in one go.
const PORTION: usize = 400;

impl World {
    /// Brings a fault about, lets it last, and heals it. Who suffers, and for how long, is drawn.
    ///
    /// # Errors
    /// When the server does not do what it is told, or does not come back.
    pub async fn suffer(&mut self, fault: Fault, dir: &Dir, names: &[Key]) -> Result<()> {
        if fault.is_of_members() {
            return self.suffer_of_members(fault).await;
        }
        let mut some = self.some();
        if matches!(fault, Fault::Compacted | Fault::Burst) {
            // They are about those who watch.
            some.extend((0..self.clients.len()).filter(|at| self.clients[*at].name().starts_with("watcher")).take(2));
            some.sort_unstable();
            some.dedup();
        }
        let who: Vec<_> = some.iter().map(|at| self.clients[*at].name().to_owned()).collect();
        self.note(format!("{fault}: {}", who.join(" ")));
        let long = self.span();
        match fault {
            Fault::Cut => {
                for at in &some {
                    self.clients[*at].link().cut();
                }
                sleep(long).await;
            }
            Fault::BlackHole => self.rules(&some, Rules::black_hole(), long).await,
            Fault::RequestsHeld => {
                self.rules(&some, Rules { to_server: Way::hold(), ..Rules::default() }, long).await;
            }
            Fault::AnswersHeld => {
                self.rules(&some, Rules { to_client: Way::hold(), ..Rules::default() }, long).await;
            }
            Fault::AnswersLost => {
                self.rules(&some, Rules { to_client: Way::swallow(), ..Rules::default() }, long).await;
            }
            Fault::HalfClosed => {
                self.rules(&some, Rules { to_client: Way::finish(), ..Rules::default() }, long).await;
            }
            Fault::Truncated => {
                let bytes = self.random.u64(1..1500);
                self.rules(&some, Rules { to_client: Way::truncated(bytes), ..Rules::default() }, long).await;
            }
            Fault::Delayed => self.rules(&some, Rules::both(Way::delayed(Duration::from_millis(500))), long).await,
            Fault::Slow => self.rules(&some, Rules::both(Way::slow(4000)), long).await,
            Fault::ResetStorm => {
                let attempts = |world: &Self, at: usize| world.clients[at].link().counts().attempts;
                let before: Vec<_> = some.iter().map(|at| attempts(self, *at)).collect();
                let begun = now();
                self.reset(&some);
                self.rules(&some, Rules::resetting(), long).await;
                for (at, before) in some.iter().zip(before) {
                    let (attempts, during) = (attempts(self, *at) - before, now() - begun);
                    let who = self.history.recorder(self.clients[*at].name());
                    who.record(What::Attempts { attempts, during });
                }
            }
            Fault::Reconnects => {
                for _ in 0..12 {
                    self.reset(&some);
                    sleep(Duration::from_millis(self.random.u64(20..400))).await;
                }
            }
            Fault::ServerKilled => {
                self.store.kill().await?;
                sleep(Duration::from_millis(self.random.u64(..4000))).await;
                self.store.start_again().await?;
            }
            Fault::ServerRestarted => {
                self.store.stop().await?;
                sleep(Duration::from_millis(self.random.u64(..2000))).await;
                self.store.start_again().await?;
            }
            Fault::ServerFrozen => {
                self.store.pause().await?;
                sleep(long).await;
                self.store.unpause().await?;
            }
            Fault::Compacted => self.compact_while_away(&some, dir).await?,
            Fault::Burst => self.burst_while_away(&some, dir, MANY).await?,
            Fault::Evicted => {
                for key in names {
                    if self.random.bool() {
                        self.evict(key).await;
                    }
                }
            }
            Fault::ClientFrozen => {
                let frozen = self.store.kind().ttl() * 2;
                // Whoever has a lock has the most to lose.
                for at in self.holder().iter().chain(&some).take(2) {
                    self.clients[*at].freeze(frozen);
                }
                sleep(frozen).await;
            }
            Fault::ClientLeft => {
                for at in &some {
                    self.clients[*at].leave();
                }
                sleep(Duration::from_secs(1)).await;
            }
            // A client that is killed is replaced by whoever knows its place; members are done with above.
            _ => {}
        }
        self.note(format!("healed: {fault}"));
        self.heal();
        Ok(())
    }

    /// Makes the network bad for some, until the next healing: so that another fault meets those who are not well already.
    pub fn lay(&mut self) {
        let rules = [
            Rules::black_hole(),
            Rules { to_client: Way::hold(), ..Rules::default() },
            Rules::both(Way::delayed(Duration::from_millis(200))),
            Rules::both(Way::slow(8000)),
            Rules::refusing(),
        ];
        let rules = rules[self.random.usize(..rules.len())];
        let some = self.some();
        let who: Vec<_> = some.iter().map(|at| self.clients[*at].name().to_owned()).collect();
        self.note(format!("beforehand: {rules:?}: {}", who.join(" ")));
        for at in some {
            self.clients[at].link().set(rules);
        }
    }

    /// Cuts clients off, lets things change, makes the server forget that, and lets more change.
    ///
    /// # Errors
    /// When the server does not do what it is told.
    pub async fn compact_while_away(&mut self, who: &[usize], dir: &Dir) -> Result<()> {
        for at in who {
            self.clients[*at].link().cut();
        }
        self.changes(dir, 64).await;
        // Nothing is forgotten that the oracle has not read.
        let position = self.drain().await?;
        self.note(format!("compacted at {position}"));
        self.store.compact(position).await?;
        self.changes(dir, 32).await;
        Ok(())
    }

    /// Cuts clients off while very much changes.
    ///
    /// # Errors
    /// When the oracle does not follow.
    pub async fn burst_while_away(&mut self, who: &[usize], dir: &Dir, count: usize) -> Result<()> {
        for at in who {
            self.clients[*at].link().cut();
        }
        let mut done = 0;
        while done < count {
            done += self.changes(dir, PORTION.min(count)).await.max(1);
            // The oracle's own window is no larger than anybody's.
            self.drain().await?;
        }
        Ok(())
    }

    /// So many changes, as fast as the server takes them.
    pub async fn changes(&mut self, dir: &Dir, count: usize) -> usize {
        let seed = self.random.u64(..100);
        burst(&self.direct, dir, count, seed).await
    }

    /// Everything passes again.
    pub fn heal(&self) {
        for client in &self.clients {
            client.link().heal();
        }
    }

    /// The client that was the last to take a lock, if it has it.
    fn holder(&self) -> Option<usize> {
        let last = self.history.look(0, |lines| {
            let is_about_locks = |line: &&Line| matches!(line.what, What::Acquired { .. } | What::Dropped { .. });
            lines.iter().rfind(is_about_locks).cloned()
        });
        let last = last.filter(|line| matches!(line.what, What::Acquired { .. }))?;
        self.clients.iter().position(|client| client.name() == last.who)
    }

    async fn rules(&self, who: &[usize], rules: Rules, long: Duration) {
        for at in who {
            self.clients[*at].link().set(rules);
        }
        sleep(long).await;
    }

    fn reset(&self, who: &[usize]) {
        for at in who {
            self.clients[*at].link().reset();
        }
    }

    /// At least one client, about half of them.
    pub fn some(&mut self) -> Vec<usize> {
        let mut all: Vec<_> = (0..self.clients.len()).collect();
        self.random.shuffle(&mut all);
        let count = self.random.usize(1..=all.len().div_ceil(2).max(1)).min(all.len());
        all.truncate(count);
        all
    }

    /// Shorter than a time to live, or longer.
    fn span(&mut self) -> Duration {
        let ttl = self.store.kind().ttl();
        if self.random.bool() {
            ttl.mul_f64(0.2 + 0.3 * self.random.f64())
        } else {
            ttl.mul_f64(1.2 + 0.6 * self.random.f64())
        }
    }
}
