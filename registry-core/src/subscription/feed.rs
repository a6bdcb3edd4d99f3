//! One state of a scope, as it is read from the registry, and everybody who is told it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use super::queue::{Pushed, Queue};
use super::view::View;
use super::{Cause, Event, Gap};
use crate::entry::Batch;
use crate::error::{Error, Result};

/// What the recovery has read, and the subscribers.
///
/// *A newcomer begins with the truth*: not with the view as it is, which may be stale, but when it is known to hold what a
/// list showed that was asked for after he had come. *Each at his own pace*: what waits for a slow subscriber is merged, or
/// replaced by the state, in his own queue.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) view: View,
    queues: BTreeMap<u64, Queue>,
    /// The number of the next subscriber.
    next: u64,
    /// How many lists were asked for.
    asked: u64,
    /// When the last disturbance ended: see [`disturb`](Self::disturb).
    disturbed: Option<Instant>,
    /// True when nobody reads the registry any more.
    over: bool,
    /// Who is to be woken, when nobody has to wait for this any more.
    awake: Vec<Waker>,
}

impl Feed {
    pub(super) fn new(view: View) -> Self {
        Self { view, queues: BTreeMap::new(), next: 0, asked: 0, disturbed: None, over: false, awake: Vec::new() }
    }

    /// Those for whom something waits since this was last asked.
    pub(super) fn awake(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.awake)
    }

    /// One more subscriber: his number, unless he came too late.
    pub(super) fn join(&mut self, resumes: bool, bound: usize) -> Option<u64> {
        if self.over {
            return None;
        }
        let number = self.next;
        self.next += 1;
        self.queues.insert(number, Queue::new(self.asked, resumes, bound));
        Some(number)
    }

    /// One less. True when he was the last one: then nobody can join any more.
    pub(super) fn leave(&mut self, number: u64) -> bool {
        self.queues.remove(&number);
        self.over |= self.queues.is_empty();
        self.queues.is_empty()
    }

    /// Nobody reads the registry any more.
    pub(super) fn end(&mut self) {
        self.over = true;
    }

    /// A list is asked for: its number.
    pub(super) fn ask(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }

    /// True when somebody waits for a newer list than the `asked`th.
    pub(super) fn is_awaited(&self, asked: u64) -> bool {
        self.queues.values().any(|queue| queue.awaits(asked))
    }

    /// The view is as new as the `asked`th list: who waited for it begins.
    pub(super) fn begin(&mut self, asked: u64) {
        self.each(|queue| queue.begin(asked));
    }

    /// The view was replaced by the `asked`th list.
    pub(super) fn push_state(&mut self, cause: Cause, asked: u64) {
        self.each(|queue| queue.replace(cause, asked));
    }

    /// Applies a batch and lets the subscribers know. False when a view that is not whole would have to be delivered:
    /// then the scope must be listed again.
    pub(super) fn push_batch(&mut self, batch: Batch) -> bool {
        self.view.apply(&batch);
        if batch.changes.is_empty() {
            return true;
        }
        let (batch, whole, mut told) = (Arc::new(batch), self.view.is_whole(), true);
        self.each(|queue| {
            if queue.push_batch(&batch) == Pushed::Overflown {
                if whole {
                    queue.push_state(Cause::Gap(Gap::Lagged));
                } else {
                    told = false;
                }
            }
        });
        told
    }

    /// Until now members may have expired because they could not renew.
    pub(super) fn disturb(&mut self) {
        self.disturbed = Some(Instant::now());
    }

    /// When that was the last time. It does not wait in a queue: a slow subscriber needs to know it with the changes that
    /// follow from it.
    pub(super) fn disturbed(&self) -> Option<Instant> {
        self.disturbed
    }

    /// Tells of an interruption.
    pub(super) fn push_interrupted(&mut self, event: impl Fn() -> Event) {
        self.each(|queue| queue.push_interrupted(event()));
    }

    /// Tells who waits for the `asked`th list of an interruption, which is none to the others.
    pub(super) fn push_delayed(&mut self, asked: u64, event: impl Fn() -> Event) {
        self.each(|queue| {
            if queue.is_served_by(asked) {
                queue.push_interrupted(event());
            }
        });
    }

    /// Tells that the watch runs again.
    pub(super) fn push_resumed(&mut self) {
        let index = self.view.index();
        self.each(|queue| queue.push_resumed(index));
    }

    /// The last item of everybody.
    pub(super) fn fail(&mut self, error: &Error) {
        self.over = true;
        self.each(|queue| queue.fail(error.clone()));
    }

    /// The last item of who waits for the `asked`th list.
    pub(super) fn refuse(&mut self, asked: u64, error: &Error) {
        self.each(|queue| {
            if queue.is_served_by(asked) {
                queue.fail(error.clone());
            }
        });
    }

    pub(super) fn poll(&mut self, number: u64, context: &mut Context<'_>) -> Poll<Option<Result<Event>>> {
        match self.queues.get_mut(&number) {
            Some(queue) => queue.poll(&self.view, context),
            None => Poll::Ready(None),
        }
    }

    fn each(&mut self, mut tell: impl FnMut(&mut Queue)) {
        for queue in self.queues.values_mut() {
            tell(queue);
            self.awake.extend(queue.awaited());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Change, Entry, MAX_VALUE};
    use crate::index::Index;
    use crate::name::Name;

    const MEMBERS: u64 = 10_000;

    fn put(number: u64, position: u64) -> Change {
        put_large(number, position, 1)
    }

    /// With a value of at least this many bytes.
    fn put_large(number: u64, position: u64, size: usize) -> Change {
        let name = Name::new(&format!("m{number}")).unwrap();
        let mut value = position.to_string().into_bytes();
        value.resize(size.max(value.len()), b'.');
        Change::Put(Entry { name, value: value.into(), index: Index::new(1, number) })
    }

    fn batch(changes: Vec<Change>, position: u64) -> Batch {
        Batch { changes, index: Index::new(1, position) }
    }

    fn take(feed: &mut Feed, number: u64) -> Option<Event> {
        match feed.poll(number, &mut Context::from_waker(Waker::noop())) {
            Poll::Ready(event) => event.map(Result::unwrap),
            Poll::Pending => None,
        }
    }

    /// Whoever reads nothing while everything changes without a pause costs memory for `bound` changes, `bound` KiB in them, and
    /// the members.
    #[test]
    fn a_slow_subscriber_costs_memory_for_the_members_and_not_for_the_history() {
        let small = [(4096, MEMBERS, 1, 50_000), (4096, 100, 1, 50_000), (2, 3, 1, 50_000)];
        // Few enough to be merged, and too many for that.
        let large =
            [(4096, 20, MAX_VALUE, 2_000), (4096, 100, MAX_VALUE, 2_000), (64, 10, 3000, 2_000), (2, 3, 1500, 2_000)];
        for (bound, churned, size, history) in small.into_iter().chain(large) {
            let mut feed = Feed::new(View::default());
            let [idle, quick] = [(); 2].map(|()| feed.join(false, bound).unwrap());
            let members: Vec<_> = (0..MEMBERS).map(|number| put(number, 1)).collect();
            feed.view.apply(&batch(members, 1));
            let asked = feed.ask();
            feed.push_state(Cause::Initial, asked);
            let mut known = View::default();
            for number in [idle, quick] {
                let Some(Event::Snapshot { snapshot, .. }) = take(&mut feed, number) else { panic!("no state") };
                known.replace(snapshot);
            }
            for position in 2..history {
                assert!(feed.push_batch(batch(vec![put_large(position % churned, position, size)], position)));
                let Some(Event::Changes(told)) = take(&mut feed, quick) else { panic!("the quick one waits") };
                assert_eq!(told.index.position(), position, "the other one is none of his business");
                if position % 97 == 0 {
                    let (items, changes, bytes) = feed.queues[&idle].waiting();
                    assert!(changes <= bound && items <= bound, "{changes} wait");
                    assert!(bytes <= bound * 1024 || changes == 1, "{changes} of {bytes} bytes wait");
                }
            }
            // What is told in the end, in order, leads to the truth.
            let truth = feed.view.snapshot();
            let mut at = 0;
            while let Some(event) = take(&mut feed, idle) {
                match event {
                    Event::Snapshot { snapshot, .. } => known.replace(snapshot),
                    Event::Changes(batch) => {
                        assert!(batch.index.position() > at);
                        at = batch.index.position();
                        known.apply(&batch);
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(known.snapshot().entries, truth.entries);
        }
    }

    #[test]
    fn who_comes_while_a_list_is_read_waits_for_the_next() {
        let mut feed = Feed::new(View::default());
        let early = feed.join(false, 8).unwrap();
        let first = feed.ask();
        let late = feed.join(false, 8).unwrap();
        feed.push_state(Cause::Initial, first);
        assert!(matches!(take(&mut feed, early), Some(Event::Snapshot { cause: Cause::Initial, .. })));
        assert!(take(&mut feed, late).is_none() && feed.is_awaited(first), "that list may be older than he is");
        feed.push_batch(batch(vec![put(1, 2)], 2));
        assert!(take(&mut feed, late).is_none(), "changes of a state that he does not have");
        let second = feed.ask();
        feed.begin(second);
        assert!(!feed.is_awaited(first));
        let Some(Event::Snapshot { snapshot, cause: Cause::Initial }) = take(&mut feed, late) else { panic!("none") };
        assert_eq!(snapshot.entries.len(), 1);
        assert!(take(&mut feed, late).is_none(), "the change is in the state");
        assert!(matches!(take(&mut feed, early), Some(Event::Changes(_))));
    }

    #[test]
    fn who_was_refused_hears_why_although_the_others_go_on() {
        let mut feed = Feed::new(View::default());
        let refused = feed.join(false, 8).unwrap();
        let asked = feed.ask();
        feed.refuse(asked, &Error::new(crate::error::ErrorKind::PermissionDenied, "no"));
        let again = feed.ask();
        feed.begin(again);
        let mut poll = || feed.poll(refused, &mut Context::from_waker(Waker::noop()));
        assert!(matches!(poll(), Poll::Ready(Some(Err(_)))), "the reason was lost");
        assert!(matches!(poll(), Poll::Ready(None)));
    }

    #[test]
    fn what_is_over_cannot_be_joined() {
        let mut feed = Feed::new(View::default());
        let numbers = [(); 2].map(|()| feed.join(false, 8).unwrap());
        assert!(!feed.leave(numbers[0]) && feed.leave(numbers[1]));
        assert_eq!(feed.join(false, 8), None);
        let mut feed = Feed::new(View::default());
        feed.join(false, 8).unwrap();
        feed.end();
        assert_eq!(feed.join(false, 8), None);
    }
}
