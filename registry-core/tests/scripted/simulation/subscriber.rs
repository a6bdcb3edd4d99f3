//! Who folds what a subscription tells, at his own pace, and compares it with what was so.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use fastrand::Rng;
use registry_core::{
    Batch, Cause, Change, Entry, Event, Gap, Index, Name, RegistryExt, SubscribeOptions, Subscription,
};
use tokio::time::sleep;

use super::world::World;
use crate::support::{dir, members, millis, seconds, short};

/// A bound that no schedule reaches.
const AMPLE: usize = 100_000;

type State = BTreeMap<Name, Entry>;

/// What a subscriber knows; `None` before the first event.
#[derive(Default)]
pub(super) struct Known {
    pub(super) state: State,
    pub(super) at: Option<Index>,
    pub(super) stale: bool,
}

pub(super) struct Subscriber<'w> {
    world: &'w World,
    number: u8,
    rng: Rng,
    /// The longest wait before the next event is taken, in milliseconds.
    pace: u64,
    /// Now and then it ends its subscription, and goes on from where it stopped or begins anew.
    restarts: bool,
    /// Where the history stood when the subscription was made that begins with a snapshot.
    joined: Index,
    options: SubscribeOptions,
    known: Rc<RefCell<Known>>,
    /// What was so at the last index.
    truth: (Index, State),
    subscription: Option<Subscription>,
}

impl<'w> Subscriber<'w> {
    pub(super) fn new(world: &'w World, number: u8, mut rng: Rng) -> Self {
        let bound = if rng.bool() { AMPLE } else { rng.usize(2..40) };
        let reconcile_every = if rng.bool() { seconds(3) } else { seconds(60) };
        let pace = [0, 300, 5000, 60_000][rng.usize(..4)];
        let restarts = world.wild.indices_are_true() && rng.u8(..3) == 0;
        let options = SubscribeOptions::new().bound(bound).reconcile_every(reconcile_every);
        let subscription = Some(world.fake.subscribe_with(dir(), options));
        let (known, truth, joined) = (Rc::default(), (Index::default(), State::new()), world.fake.head());
        Self { world, number, rng, pace, restarts, joined, options, known, truth, subscription }
    }

    pub(super) fn known(&self) -> Rc<RefCell<Known>> {
        Rc::clone(&self.known)
    }

    /// For as long as it is polled.
    pub(super) async fn read(&mut self) {
        loop {
            let event = self.subscription.as_mut().expect("subscribed").next().await;
            let event = event.expect("a subscription does not end");
            self.world.say(|| {
                format!("subscriber {}: {}", self.number, event.as_ref().map_or_else(ToString::to_string, shown))
            });
            match event {
                Ok(event) => self.take(event),
                // Permissions can be lost before a later subscription stands; that is its end.
                Err(error) => {
                    assert!(self.world.wild.denials && self.restarts, "{error}");
                    sleep(seconds(1)).await;
                    self.restart();
                }
            }
            if self.pace > 0 {
                self.world.dawdle(millis(self.rng.u64(..self.pace))).await;
            }
            if self.restarts && !self.world.over.get() && self.rng.u8(..10) == 0 {
                self.restart();
            }
        }
    }

    fn restart(&mut self) {
        let at = self.known.borrow().at;
        match at {
            Some(at) if self.rng.bool() => self.resume(at),
            _ => self.begin_anew(),
        }
    }

    fn begin_anew(&mut self) {
        self.joined = self.world.fake.head();
        self.world.say(|| format!("subscriber {}: anew, at {:#}", self.number, self.joined));
        *self.known.borrow_mut() = Known::default();
        // The others may keep the watch that it joins again.
        self.subscription = None;
        self.subscription = Some(self.world.fake.subscribe_with(dir(), self.options));
    }

    fn resume(&mut self, at: Index) {
        self.world.say(|| format!("subscriber {}: again, after {at:#}", self.number));
        self.known.borrow_mut().stale = false;
        self.subscription = Some(self.world.fake.subscribe_with(dir(), self.options.after(at)));
    }

    fn take(&mut self, event: Event) {
        let known = Rc::clone(&self.known);
        let mut known = known.borrow_mut();
        let began = known.at.is_none();
        match event {
            Event::Snapshot { snapshot, cause } => {
                assert_eq!(cause == Cause::Initial, known.at.is_none(), "{cause:?} comes after {:?}", known.at);
                self.justify(cause);
                if cause != Cause::Gap(Gap::EpochChanged) {
                    forward(known.at, snapshot.index);
                }
                known.state = snapshot.entries.into_iter().map(|entry| (entry.name.clone(), entry)).collect();
                (known.at, known.stale) = (Some(snapshot.index), false);
            }
            Event::Changes(batch) => {
                assert!(!batch.changes.is_empty(), "an empty batch is told");
                assert!(!known.stale, "changes come without the end of the interruption");
                assert!(known.at.is_some(), "changes come before a state");
                forward(known.at, batch.index);
                apply(&mut known.state, &batch);
                known.at = Some(batch.index);
            }
            Event::Interrupted { retry_in, .. } => {
                assert!(retry_in <= seconds(15), "{retry_in:?}");
                known.stale = true;
                return;
            }
            Event::Resumed { index } => {
                assert!(known.stale, "the end of no interruption");
                forward(known.at, index);
                known.stale = false;
                return;
            }
        }
        let at = known.at.expect("it was told");
        if self.world.wild.indices_are_true() {
            if began && at.same_epoch(self.joined) && at.position() < self.joined.position() {
                assert!(self.was_so_since(self.joined, &known.state), "it began at {at:#}, after {:#}", self.joined);
            }
            self.advance_truth(at);
            assert_eq!(known.state, self.truth.1, "what was told up to {at:#} is not what was so");
        }
    }

    /// A gap that nothing has caused is one that was made.
    fn justify(&self, cause: Cause) {
        let just = match cause {
            Cause::Initial => true,
            Cause::Gap(Gap::Compacted) => self.world.compacted.get(),
            Cause::Gap(Gap::EpochChanged) => self.world.replaced.get(),
            // Who resumes cannot be helped by a list when the watch gets stuck half-way.
            Cause::Gap(Gap::Lagged) => self.options.bound < AMPLE || self.restarts,
            Cause::Gap(_) => !self.world.fake.core().able.resume,
        };
        assert!(just, "{cause:?} for no reason");
    }

    /// A state may have an index from before the subscription, but only when it was so then, or became so again: a list
    /// that is read later shows nothing of what has come and gone, which the watch will still tell.
    fn was_so_since(&mut self, joined: Index, state: &State) -> bool {
        let mut next = Some(joined);
        while let Some(at) = next {
            self.advance_truth(at);
            if self.truth.1 == *state {
                return true;
            }
            next = self.world.fake.core().oracle.next(at);
        }
        false
    }

    fn advance_truth(&mut self, index: Index) {
        let (at, state) = &mut self.truth;
        if at.epoch() != index.epoch() || at.position() > index.position() {
            (*at, *state) = (Index::new(index.epoch(), 0), State::new());
        }
        let changes = self.world.fake.core().oracle.between(&dir().into(), *at, index);
        apply(state, &Batch { changes, index });
        *at = index;
    }
}

fn apply(state: &mut State, batch: &Batch) {
    for change in &batch.changes {
        match change {
            Change::Put(entry) => state.insert(entry.name.clone(), entry.clone()),
            Change::Remove { name, .. } => state.remove(name),
        };
    }
}

/// An event in few words, which are the same whenever it is played.
fn shown(event: &Event) -> String {
    let at = |index: &Index| format!("{index:#}");
    match event {
        Event::Snapshot { snapshot, cause } => {
            format!("{cause:?} {} {:?}", at(&snapshot.index), members(snapshot))
        }
        Event::Changes(batch) => {
            format!("{} {:?}", at(&batch.index), batch.changes.iter().map(short).collect::<Vec<_>>())
        }
        Event::Interrupted { error, retry_in, .. } => format!("interrupted for {retry_in:?}: {error}"),
        Event::Resumed { index } => format!("resumed at {}", at(index)),
    }
}

fn forward(from: Option<Index>, to: Index) {
    let Some(from) = from else { return };
    assert!(to.same_epoch(from) && to.position() >= from.position(), "from {from:#} back to {to:#}");
}
