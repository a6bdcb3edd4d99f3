//! After the last fault: everything is as it should be, soon, and stays so.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use registry_core::{Entry, ErrorKind, Key, Name, State};
use tokio::time::Instant;

use super::subscriber::Known;
use super::world::{Kept, World};
use crate::support::{Fake, Op, millis, pass, seconds};

/// A silent watch or a call that hangs (30 s), and a wait after a refusal (15 s) or the longest backoff (3 s).
const CAUGHT_UP: Duration = seconds(50);
/// The time to live of what somebody left (15 s), a call that hangs (10 s), waits after a refusal and between attempts.
const REGISTERED: Duration = seconds(45);
/// A list that hangs (30 s), and the next comparison.
const COMPARED: Duration = seconds(100);

/// Waits until all is well, within the bounds; returns how long that took.
pub(super) async fn settle(world: &World, known: &[Rc<RefCell<Known>>]) -> Duration {
    let begun = Instant::now();
    let caught_up = if world.wild.indices_are_true() { CAUGHT_UP } else { COMPARED };
    wait_for(begun, REGISTERED, || owners_stand(world)).await;
    let owners = begun.elapsed();
    wait_for(begun, caught_up.max(owners + seconds(5)), || subscribers_know(world, known)).await;
    let settled = begun.elapsed();
    world.say(|| format!("settled after {settled:?}"));
    // Not by chance: a renewal, a progress notification and a comparison later as well.
    pass(seconds(12)).await;
    // A request that was overtaken may have come last even now, and a watch that says nothing may hide what expired.
    wait_for(begun, REGISTERED + seconds(15), || owners_stand(world)).await;
    wait_for(begun, caught_up.max(begun.elapsed() + seconds(10)), || subscribers_know(world, known)).await;
    release(world).await;
    settled
}

async fn wait_for(begun: Instant, bound: Duration, mut done: impl FnMut() -> Result<(), String>) {
    while let Err(why) = done() {
        assert!(begun.elapsed() <= bound, "after {bound:?}: {why}");
        pass(millis(100)).await;
    }
}

/// Every name that somebody keeps is held by exactly one, with his latest value; nothing else is left of anybody.
fn owners_stand(world: &World) -> Result<(), String> {
    let kept = world.kept.borrow();
    let mut names: BTreeMap<&Key, Vec<&Rc<Kept>>> = BTreeMap::new();
    for kept in kept.iter().filter(|kept| !is_over(world, kept)) {
        names.entry(&kept.key).or_default().push(kept);
    }
    for (key, rivals) in &names {
        let holds = |kept: &&&Rc<Kept>| matches!(kept.status.borrow().state, State::Held { .. });
        let holders: Vec<_> = rivals.iter().filter(holds).collect();
        let [holder] = holders[..] else {
            let states: Vec<_> = rivals.iter().map(|kept| kept.status.borrow().clone()).collect();
            return Err(format!("{key} has {} holders: {states:?}", holders.len()));
        };
        let value = world.fake.change(|core| core.oracle.get(key).map(|stored| stored.value.clone()));
        // A backup brings back what was the value then, under the same lease: the keeper does not look at values.
        if value.as_deref() != Some(holder.value.borrow().as_bytes()) && !(world.wild.restores && value.is_some()) {
            return Err(format!("{key} holds {value:?} and not {}", holder.value.borrow()));
        }
    }
    for name in ["o0", "o1"].map(crate::support::key) {
        let left = world.fake.change(|core| core.oracle.get(&name).cloned());
        if let (Some(left), None) = (left, names.get(&name)) {
            return Err(format!("{name} is left behind: {left:?}"));
        }
    }
    Ok(())
}

/// It will never be held again, and rightly so.
fn is_over(world: &World, kept: &Kept) -> bool {
    let status = kept.status.borrow();
    if status.state == State::Evicted {
        assert!(world.evicted.get(), "{} was evicted by nobody", kept.key);
    }
    let keeper_ended = kept.status.has_changed().is_err();
    assert!(
        !keeper_ended || kept.single || status.is_final(),
        "the keeper of {} ended as {:?}",
        kept.key,
        status.state
    );
    keeper_ended || status.is_final()
}

fn subscribers_know(world: &World, known: &[Rc<RefCell<Known>>]) -> Result<(), String> {
    let holds = world.fake.holds();
    let truth: BTreeMap<Name, Entry> = holds.entries.into_iter().map(|entry| (entry.name.clone(), entry)).collect();
    for (number, known) in known.iter().enumerate() {
        let known = known.borrow();
        if known.stale {
            return Err(format!("subscriber {number} was not told that the interruption is over"));
        }
        if known.state != truth {
            return Err(format!("subscriber {number} knows {:?} and there is {truth:?}", known.state));
        }
    }
    Ok(())
}

/// What is given back is gone at once, and does not come back.
async fn release(world: &World) {
    let kept = world.kept.take();
    for (number, kept) in kept.iter().enumerate() {
        let registration = kept.registration.take().expect("kept until now");
        let (lease, held) = (registration.status().lease, registration.token().is_some());
        if number % 2 == 0 {
            match registration.deregister().await {
                Ok(()) => {}
                // Shut out by somebody else, and an earlier attempt of its own had no answer.
                Err(error) if !held && error.kind() == ErrorKind::Timeout => {}
                Err(error) => panic!("nothing is wrong any more: {error:?}"),
            }
        } else {
            drop(registration);
            // Long before its time to live would have removed it.
            pass(millis(100)).await;
        }
        let there = world.fake.change(|core| core.oracle.get(&kept.key).cloned());
        let own = there.is_some_and(|there| lease.is_some_and(|lease| there.owner == lease.id()));
        assert!(!own, "{} stands although it was given back", kept.key);
    }
    pass(seconds(20)).await;
    for key in kept.iter().map(|kept| &kept.key) {
        let there = world.fake.change(|core| core.oracle.get(key).cloned());
        assert!(there.is_none(), "{key} came back: {there:?}");
    }
}

pub(super) fn most_calls_in_a_second(fake: &Fake) -> usize {
    let core = fake.core();
    // Updates are as many as somebody asks for.
    let times: Vec<_> = core.script.calls.iter().filter(|call| call.op != Op::Update).map(|call| call.at).collect();
    let (mut most, mut from) = (0, 0);
    for (to, at) in times.iter().enumerate() {
        while times[from] + seconds(1) <= *at {
            from += 1;
        }
        most = most.max(to + 1 - from);
    }
    most
}
