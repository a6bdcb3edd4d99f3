//! Folding a subscription gives the truth, whatever happens on the way.

use std::sync::Arc;

use proptest::prelude::*;
use registry_core::{Cause, Event, Gap, Index, RegistryExt, SubscribeOptions, Subscription};
use tokio::time::timeout;

use super::histories::{Step, Wild, history, make};
use crate::support::{Fake, Members, dir, fold, members, millis, pass, seconds};

/// What a subscriber knows, and what he checks on the way.
#[derive(Default)]
struct Subscriber {
    state: Members,
    /// The last point that was told; `None` before the first event.
    at: Option<Index>,
    /// Every change between snapshots must be exactly what happened.
    exact: bool,
    stale: bool,
    gaps: Vec<Gap>,
}

impl Subscriber {
    fn take(&mut self, fake: &Fake, event: &Event) {
        match event {
            Event::Snapshot { snapshot, cause } => {
                assert_eq!(*cause == Cause::Initial, self.at.is_none(), "{cause:?} comes after {:?}", self.at);
                if let Cause::Gap(gap) = cause {
                    self.gaps.push(*gap);
                }
                if *cause != Cause::Gap(Gap::EpochChanged) {
                    self.forward(snapshot.index);
                }
                self.at = Some(snapshot.index);
                self.stale = false;
            }
            Event::Changes(batch) => {
                assert!(!batch.changes.is_empty(), "an empty batch is told");
                assert!(!self.stale, "changes come without the end of the interruption");
                let after = self.at.expect("a state is told before changes");
                self.forward(batch.index);
                if self.exact {
                    let happened = fake.change(|core| core.oracle.between(&dir().into(), after, batch.index));
                    assert_eq!(batch.changes, happened, "between {after:#} and {:#}", batch.index);
                }
                self.at = Some(batch.index);
            }
            Event::Interrupted { retry_in, .. } => {
                assert!(*retry_in <= seconds(15));
                self.stale = true;
            }
            Event::Resumed { index } => {
                assert!(self.stale, "the end of no interruption");
                self.forward(*index);
                self.stale = false;
            }
        }
        fold(&mut self.state, event);
    }

    fn forward(&self, index: Index) {
        let Some(at) = self.at else { return };
        assert!(index.same_epoch(at) && index.position() >= at.position(), "from {at:#} back to {index:#}");
    }

    /// Reads until nothing waits any more.
    async fn read(&mut self, fake: &Fake, subscription: &mut Subscription) {
        while let Ok(event) = timeout(millis(5), subscription.next()).await {
            self.take(fake, &event.expect("it does not end").expect("nothing is permanent"));
        }
    }
}

/// Plays a history, and returns the subscriber after everything was healed and has settled.
fn play(steps: &[Step], options: SubscribeOptions, mut subscriber: Subscriber, eager: bool, seed: u64) -> Subscriber {
    // The spread of the waits is part of the case, so that a failure can be repeated.
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let fake = Fake::new();
        fake.put("n0", "before");
        let start = fake.put("n1", "before");
        let resumes = options.after.is_some();
        let options = if resumes {
            (subscriber.state, subscriber.at) = (members(&fake.holds()), Some(start));
            options.after(start)
        } else {
            options
        };
        let mut subscription = fake.subscribe_with(dir(), options);
        // From the first state on: a lost permission before it would be the end.
        pass(millis(20)).await;
        for (number, step) in steps.iter().enumerate() {
            make(&fake, step, number);
            match step {
                Step::Pass(span) => pass(millis(u64::from(*span))).await,
                Step::Outage(span) => {
                    pass(millis(u64::from(*span))).await;
                    fake.change(|core| core.script.heal());
                }
                Step::Read => subscriber.read(&fake, &mut subscription).await,
                _ => {}
            }
            if eager {
                subscriber.read(&fake, &mut subscription).await;
            }
        }
        fake.heal();
        // Longer than the longest backoff, the idle limit, and a list that hangs, one after the other.
        for _ in 0..8 {
            pass(seconds(15)).await;
            subscriber.read(&fake, &mut subscription).await;
        }
        assert_eq!(subscriber.state, members(&fake.holds()), "what was told does not add up to what there is");
        assert!(!subscriber.stale, "the end of the last interruption was not told");
        drop(subscription);
        pass(millis(1)).await;
        assert_eq!(Arc::strong_count(&fake), 1, "somebody still works");
    });
    subscriber
}

fn often() -> SubscribeOptions {
    SubscribeOptions::new().reconcile_every(seconds(3))
}

proptest! {
    #![proptest_config(super::cases())]

    /// A subscriber who reads at once from a server that loses nothing is told exactly what happened.
    #[test]
    fn a_quick_subscriber_is_told_every_change_once_and_in_order(steps in history(Wild::Faults), resumes: bool, seed: u64) {
        let exact = Subscriber { exact: true, ..Subscriber::default() };
        let options = if resumes { often().after(Index::default()) } else { often() };
        let told = play(&steps, options, exact, true, seed);
        prop_assert_eq!(told.gaps, []);
    }

    /// The same with a history that is forgotten and replaced: exact between two snapshots.
    #[test]
    fn a_gap_is_told_and_everything_between_gaps_is_exact(steps in history(Wild::Gaps), seed: u64) {
        // After a restored backup the same index stands for something else; what was told before it is no measure.
        let exact = !steps.iter().any(|step| matches!(step, Step::RollBack(_)));
        let told = play(&steps, often(), Subscriber { exact, ..Subscriber::default() }, true, seed);
        prop_assert!(told.gaps.iter().all(|gap| matches!(gap, Gap::Compacted | Gap::EpochChanged)), "{:?}", told.gaps);
    }

    /// However slow the subscriber is, and however small the buffer.
    #[test]
    fn folding_gives_the_truth_at_every_pace(steps in history(Wild::Gaps), bound in 0..12_usize, resumes: bool, seed: u64) {
        let options = if resumes { often().after(Index::default()) } else { often() };
        play(&steps, options.bound(bound), Subscriber::default(), false, seed);
    }

    /// A server that lies is found out.
    #[test]
    fn folding_gives_the_truth_although_the_server_lies(steps in history(Wild::Lies), bound in 2..40_usize, eager: bool, seed: u64) {
        play(&steps, often().bound(bound), Subscriber::default(), eager, seed);
    }
}
