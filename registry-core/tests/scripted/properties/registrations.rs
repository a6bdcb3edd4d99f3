//! Whoever believes that he holds an entry does hold it, and nobody else is robbed.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use registry_core::{Condition, ErrorKind, Registration, RegistryExt, State};
use tokio::time::{Instant, advance};

use crate::support::{Fake, Fault, Op, bytes, eventually, key, millis, options, pass, seconds};

const TTL: Duration = seconds(5);

#[derive(Clone, Debug)]
enum Step {
    Update,
    Check,
    /// The next call of the kind goes wrong.
    Next(u8, u8, u16),
    /// Every call fails until it is over.
    Outage(u16),
    Pass(u16),
    /// The process stands still.
    Freeze(u16),
    /// The server loses the lease before its time.
    Forget,
    /// Somebody takes the name over, and keeps it for a while.
    TakeOver(u16),
}

fn step(others: bool) -> BoxedStrategy<Step> {
    let faults = prop_oneof![
        1 => Just(Step::Update),
        1 => Just(Step::Check),
        4 => (0..3_u8, 0..5_u8, 0..8000_u16).prop_map(|(op, how, span)| Step::Next(op, how, span)),
        1 => (0..12_000_u16).prop_map(Step::Outage),
        3 => (0..4000_u16).prop_map(Step::Pass),
        1 => (0..12_000_u16).prop_map(Step::Freeze),
    ];
    let theirs = prop_oneof![1 => Just(Step::Forget), 2 => (1..12_000_u16).prop_map(Step::TakeOver)];
    if others { prop_oneof![4 => faults, 1 => theirs].boxed() } else { faults.boxed() }
}

fn fault(how: u8, span: u16) -> Fault {
    match how {
        0 => Fault::Fail(ErrorKind::Unavailable),
        1 => Fault::Hang,
        2 => Fault::Slow(millis(u64::from(span))),
        3 => Fault::Late(millis(u64::from(span))),
        _ => Fault::AnswerLost,
    }
}

struct Owner {
    fake: Arc<Fake>,
    registration: Registration,
    /// Until when somebody else has the name.
    taken: Instant,
    /// The server took an entry away although its time was not over.
    wronged: bool,
}

impl Owner {
    fn look(&self) {
        let there = self.fake.change(|core| core.oracle.get(&key("a")).cloned());
        if Instant::now() < self.taken {
            assert!(there.as_ref().is_some_and(|entry| entry.value == "winner"), "the winner was robbed: {there:?}");
        }
        if let (State::Held { token }, false) = (self.registration.status().state, self.wronged) {
            assert!(
                there.as_ref().is_some_and(|entry| entry.created == token),
                "held as {token:#}, and there is {there:?}"
            );
        }
    }

    /// Looks all the while.
    async fn pass(&self, span: Duration) {
        let end = Instant::now() + span;
        while Instant::now() < end {
            pass(millis(130)).await;
            self.look();
        }
    }

    async fn take(&mut self, step: &Step, number: usize) {
        match step {
            Step::Update => _ = self.registration.update(bytes(&number.to_string())).await,
            Step::Check => _ = self.registration.check().await,
            Step::Next(op, how, span) => {
                let op = [Op::Register, Op::Renew, Op::Update][usize::from(*op)];
                self.fake.next(op, fault(*how, *span));
            }
            Step::Outage(span) => {
                self.fake.outage();
                self.pass(millis(u64::from(*span))).await;
                self.fake.heal();
            }
            Step::Pass(span) => self.pass(millis(u64::from(*span))).await,
            Step::Freeze(span) => {
                advance(millis(u64::from(*span))).await;
                pass(millis(1)).await;
            }
            Step::Forget => {
                self.fake.forget("a");
                (self.wronged, self.taken) = (true, Instant::now());
            }
            Step::TakeOver(span) => {
                let span = millis(u64::from(*span));
                self.taken = Instant::now() + span;
                self.wronged = true;
                let taken =
                    self.fake.change(|core| core.oracle.register(&key("a"), bytes("winner"), Condition::Any, span));
                taken.expect("any name may be taken over");
            }
        }
        self.look();
    }
}

fn play(steps: &[Step], seed: u64) {
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let fake = Fake::new();
        let registration = fake.announce(key("a"), "first", options().ttl(TTL)).await.expect("announced");
        let mut owner = Owner { fake: Arc::clone(&fake), registration, taken: Instant::now(), wronged: false };
        let mut latest = String::from("first");
        for (number, step) in steps.iter().enumerate() {
            owner.take(step, number).await;
            if matches!(step, Step::Update) {
                latest = number.to_string();
            }
        }
        fake.heal();
        // A call that hangs, the winner's time, that of a lease which nobody knows, and the wait of who was refused.
        pass(seconds(45)).await;
        let (state, value) = (owner.registration.status().state, fake.value("a"));
        assert!(matches!(state, State::Held { .. }), "it does not come back: {:?}", owner.registration.status());
        assert_eq!(value, Some(bytes(&latest)), "not the latest value");
        owner.registration.deregister().await.expect("released");
        assert_eq!(fake.value("a"), None);
        drop(owner.fake);
        eventually("its tasks end", || Arc::strong_count(&fake) == 1).await;
    });
}

proptest! {
    #![proptest_config(super::cases())]

    #[test]
    fn who_believes_to_hold_an_entry_holds_it(steps in prop::collection::vec(step(false), 1..25), seed: u64) {
        play(&steps, seed);
    }

    #[test]
    fn who_took_a_name_over_is_left_alone(steps in prop::collection::vec(step(true), 1..25), seed: u64) {
        play(&steps, seed);
    }
}
