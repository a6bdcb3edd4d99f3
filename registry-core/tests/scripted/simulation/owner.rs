//! Who registers an entry, changes its value, gives it back, and registers it again.

use std::cell::RefCell;
use std::rc::Rc;

use fastrand::Rng;
use registry_core::{Condition, RegisterOptions, Registration, RegistryExt, State};
use tokio::time::timeout;

use super::world::{Kept, World, pass_some_time, some_time};
use crate::support::{bytes, key, seconds};

pub(super) struct Owner<'w> {
    world: &'w World,
    number: u8,
    rng: Rng,
    written: u32,
}

impl<'w> Owner<'w> {
    pub(super) fn new(world: &'w World, number: u8, rng: Rng) -> Self {
        Self { world, number, rng, written: 0 }
    }

    /// Ends with an entry that is kept, or without one.
    pub(super) async fn run(&mut self) {
        for round in 0..self.rng.u8(1..4) {
            let Some(kept) = self.announce().await else {
                pass_some_time(&mut self.rng).await;
                continue;
            };
            for _ in 0..self.rng.u8(..6) {
                self.step(&kept).await;
            }
            if round > 0 || self.rng.u8(..3) != 0 {
                return;
            }
            self.give_back(&kept).await;
        }
    }

    async fn announce(&mut self) -> Option<Rc<Kept>> {
        let key = key(&format!("o{}", self.rng.u8(..2)));
        let mut options = RegisterOptions::new().ttl(seconds(self.rng.u64(3..15)));
        if self.rng.u8(..3) == 0 {
            options = options.condition(Condition::Absent);
        }
        if self.rng.u8(..4) == 0 {
            options = options.without_watch();
        }
        let single = self.rng.u8(..5) == 0;
        if single {
            options = options.single_ownership();
        }
        let value = self.value();
        self.world.say(|| format!("owner {}: announce {key}={value} {options:?}", self.number));
        let patience = seconds(self.rng.u64(1..30));
        let announced = timeout(patience, self.world.fake.announce(key.clone(), bytes(&value), options)).await;
        self.world.say(|| {
            format!(
                "owner {}: {:?}",
                self.number,
                announced.as_ref().map(|result| result.as_ref().map(Registration::token))
            )
        });
        let registration = announced.ok()?.ok()?;
        let kept = Rc::new(Kept {
            key,
            single,
            value: RefCell::new(value),
            status: registration.watch(),
            registration: RefCell::new(Some(registration)),
        });
        self.world.kept.borrow_mut().push(Rc::clone(&kept));
        Some(kept)
    }

    #[expect(clippy::await_holding_refcell_ref, reason = "only this owner takes it, and not while this waits")]
    async fn step(&mut self, kept: &Kept) {
        let registration = kept.registration.borrow();
        let registration = registration.as_ref().expect("not given back yet");
        match self.rng.u8(..4) {
            0 => {
                let value = self.value();
                kept.value.replace(value.clone());
                let result = registration.update(bytes(&value)).await;
                self.world.say(|| format!("owner {}: update to {value}: {result:?}", self.number));
            }
            1 => {
                let result = registration.check().await;
                let status = registration.status();
                self.world.say(|| format!("owner {}: check: {result:?}, {:?}", self.number, status.state));
            }
            _ => pass_some_time(&mut self.rng).await,
        }
    }

    async fn give_back(&mut self, kept: &Kept) {
        let registration = kept.registration.take().expect("not given back yet");
        let lease = registration.status().lease;
        let how = self.rng.u8(..4);
        match how {
            0 => drop(registration),
            1 => _ = registration.leave().await,
            _ => {
                let result = registration.deregister().await;
                let status = kept.status.borrow().state;
                assert!(
                    matches!(status, State::Released | State::Evicted | State::Lost | State::Refused),
                    "{status:?}"
                );
                let there = self.world.fake.change(|core| core.oracle.get(&kept.key).cloned());
                let own = there.is_some_and(|there| lease.is_some_and(|lease| there.owner == lease.id()));
                // After a restored backup, what was given back may be there again.
                assert!(
                    result.is_err() || !own || self.world.wild.restores,
                    "{} stands although it was given back",
                    kept.key
                );
            }
        }
        self.world.say(|| format!("owner {}: gave {} back, way {how}", self.number, kept.key));
        self.world.kept.borrow_mut().retain(|other| !std::ptr::eq(&raw const **other, kept));
        tokio::time::sleep(some_time(&mut self.rng)).await;
    }

    fn value(&mut self) -> String {
        self.written += 1;
        format!("{}.{}", self.number, self.written)
    }
}
