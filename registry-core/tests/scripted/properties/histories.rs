//! Random histories, faults and paces of reading.

use std::time::Duration;

use proptest::prelude::*;
use registry_core::{Condition, ErrorKind, Removed};

use crate::support::{Cut, Deed, Fake, Fault, Op, bytes, key, millis};

#[derive(Clone, Debug)]
pub(super) enum Step {
    Put(u8),
    Remove(u8),
    /// An entry that expires after so many milliseconds.
    Mortal(u8, u16),
    /// Several names in one revision.
    Together(Vec<(u8, bool)>),
    Elsewhere,
    Burst(u8),
    Compact,
    Cut(How),
    /// Every call fails until it is over.
    Outage(u16),
    /// The next call of the kind goes wrong.
    List(How, u16),
    Watch(How, u16),
    /// The next watch is cut after so many batches.
    Plan(u8, How),
    /// Watches tell changes so much later.
    Lag(u16),
    /// Watches tell all that there is in one batch.
    Whole(bool),
    Pass(u16),
    /// The subscriber reads all that waits.
    Read,
    /// The store is wiped, or restored from a backup of so many revisions ago.
    Wipe,
    RollBack(u8),
    /// A change that the watches do not tell.
    Lie(u8, bool),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum How {
    Unavailable,
    Unexpected,
    Denied,
    Silent,
    Compacted,
    Nothing,
}

impl How {
    fn cut(self) -> Cut {
        match self {
            How::Unavailable => Cut::Fail(ErrorKind::Unavailable),
            How::Unexpected => Cut::Fail(ErrorKind::Unexpected),
            How::Denied => Cut::Fail(ErrorKind::PermissionDenied),
            How::Silent => Cut::Silence,
            How::Compacted => Cut::Fail(ErrorKind::Compacted),
            How::Nothing => Cut::End,
        }
    }

    fn fault(self, span: Duration) -> Fault {
        match self {
            How::Unavailable => Fault::Fail(ErrorKind::Unavailable),
            How::Unexpected => Fault::AnswerLost,
            How::Denied => Fault::Fail(ErrorKind::PermissionDenied),
            How::Silent => Fault::Hang,
            How::Compacted => Fault::Slow(span),
            How::Nothing => Fault::Late(span),
        }
    }
}

/// What may be in a history, from the mildest to the wildest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wild {
    /// The server is faulty, and its history sound.
    Faults,
    /// The history may be forgotten, or replaced.
    Gaps,
    /// The server lies, by what it tells or by its silence: comparing makes up for it, with fewer words.
    Lies,
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        Just(How::Unavailable),
        Just(How::Unexpected),
        Just(How::Denied),
        Just(How::Silent),
        Just(How::Compacted),
        Just(How::Nothing)
    ]
}

/// As a watch ends without a gap.
fn mild() -> impl Strategy<Value = How> {
    prop_oneof![Just(How::Unavailable), Just(How::Unexpected), Just(How::Denied), Just(How::Nothing)]
}

fn step(wild: Wild) -> BoxedStrategy<Step> {
    let world = prop_oneof![
        6 => (0..6_u8).prop_map(Step::Put),
        4 => (0..6_u8).prop_map(Step::Remove),
        1 => (0..6_u8, 1..5000_u16).prop_map(|(name, span)| Step::Mortal(name, span)),
        2 => prop::collection::vec((0..6_u8, any::<bool>()), 1..5).prop_map(Step::Together),
        1 => Just(Step::Elsewhere),
        1 => (2..40_u8).prop_map(Step::Burst),
    ];
    let faults = prop_oneof![
        2 => mild().prop_map(Step::Cut),
        1 => (1..5000_u16).prop_map(Step::Outage),
        2 => (how(), 0..1900_u16).prop_map(|(how, span)| Step::List(how, span)),
        2 => (how(), 0..1900_u16).prop_map(|(how, span)| Step::Watch(how, span)),
        2 => (0..4_u8, mild()).prop_map(|(after, how)| Step::Plan(after, how)),
        2 => (0..1500_u16).prop_map(Step::Lag),
        1 => any::<bool>().prop_map(Step::Whole),
    ];
    let time = prop_oneof![3 => (0..300_u16).prop_map(Step::Pass), 1 => (0..20_000_u16).prop_map(Step::Pass), 4 => Just(Step::Read)];
    let gaps = prop_oneof![
        2 => Just(Step::Compact),
        1 => Just(Step::Cut(How::Compacted)),
        1 => (0..3_u8).prop_map(|after| Step::Plan(after, How::Compacted)),
        1 => Just(Step::Wipe),
        1 => (0..20_u8).prop_map(Step::RollBack),
    ];
    let lies = prop_oneof![
        4 => (0..6_u8, any::<bool>()).prop_map(|(name, put)| Step::Lie(name, put)),
        1 => Just(Step::Cut(How::Silent)),
        1 => (0..4_u8).prop_map(|after| Step::Plan(after, How::Silent)),
    ];
    match wild {
        Wild::Faults => prop_oneof![6 => world, 3 => faults, 4 => time].boxed(),
        Wild::Gaps => prop_oneof![6 => world, 3 => faults, 4 => time, 1 => gaps].boxed(),
        Wild::Lies => prop_oneof![6 => world, 2 => faults, 4 => time, 1 => gaps, 2 => lies].boxed(),
    }
}

pub(super) fn history(wild: Wild) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(wild), 1..60)
}

/// Does everything but reading and waiting.
pub(super) fn make(fake: &Fake, step: &Step, number: usize) {
    let name = |name: u8| format!("n{name}");
    let value = number.to_string();
    match step {
        Step::Put(put) => _ = fake.put(&name(*put), &value),
        Step::Remove(removed) => fake.evict(&name(*removed)),
        Step::Mortal(mortal, span) => {
            let span = millis(u64::from(*span));
            let made =
                fake.change(|core| core.oracle.register(&key(&name(*mortal)), bytes(&value), Condition::Any, span));
            made.expect("any name may be taken over");
        }
        Step::Together(changes) => {
            let deed = |put: bool| if put { Deed::Put(bytes(&value)) } else { Deed::Remove(Removed::Deleted) };
            let deeds = changes.iter().map(|(changed, put)| (key(&name(*changed)), deed(*put))).collect();
            fake.change(|core| core.oracle.commit(deeds));
        }
        Step::Elsewhere => _ = fake.elsewhere(),
        Step::Burst(count) => {
            for burst in 0..*count {
                fake.put(&name(burst % 9), &format!("{value}.{burst}"));
            }
        }
        Step::Compact => fake.compact(),
        Step::Cut(how) => fake.cut(how.cut()),
        Step::Outage(_) => fake.outage(),
        Step::List(how, span) => fake.next(Op::List, how.fault(millis(u64::from(*span)))),
        Step::Watch(how, span) => fake.next(Op::Watch, how.fault(millis(u64::from(*span)))),
        Step::Plan(after, how) => fake.plan(usize::from(*after), how.cut()),
        Step::Lag(span) => fake.change(|core| core.lag = millis(u64::from(*span))),
        Step::Whole(whole) => fake.core().whole = *whole,
        Step::Wipe => {
            fake.change(|core| core.oracle.wipe());
            fake.cut(Cut::Fail(ErrorKind::Unavailable));
        }
        Step::RollBack(by) => {
            let position = fake.head().position().saturating_sub(u64::from(*by)).max(1);
            fake.change(|core| core.oracle.roll_back(position));
            fake.cut(Cut::Fail(ErrorKind::Unavailable));
        }
        Step::Lie(lie, put) => {
            fake.lose(&name(*lie));
            if *put {
                fake.put(&name(*lie), &value);
            } else {
                fake.evict(&name(*lie));
            }
        }
        Step::Pass(_) | Step::Read => {}
    }
}
