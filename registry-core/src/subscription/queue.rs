//! What waits for one subscriber, in bounded memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::view::View;
use super::{Cause, Event, Gap};
use crate::entry::{Batch, Change};
use crate::error::{Error, Result};
use crate::index::Index;
use crate::name::Name;

/// So many bytes of name and value count as one change.
const UNIT: usize = 1024;

/// The events that one subscriber has not taken yet. The view is that of the feed, which he may share with others.
///
/// Every change is kept until `bound` of them wait, large ones counted more than once; then they are merged by name; when
/// that is still too much, they are replaced by the whole state. So a slow subscriber costs memory for the members, never for
/// the history.
#[derive(Debug)]
pub(super) struct Queue {
    /// Which list is new enough to begin with: one that is asked for after this subscriber has come.
    since: u64,
    /// False until there is a state for him to begin with.
    begun: bool,
    waiting: VecDeque<Item>,
    /// What the changes that wait count, all together.
    weight: usize,
    bound: usize,
    /// True from when an interruption was taken until its end is.
    stale: bool,
    ended: bool,
    waker: Option<Waker>,
}

#[derive(Debug)]
enum Item {
    /// The state as it will be when it is taken; it makes everything that came before it superfluous.
    State(Cause),
    /// Everybody who shares a feed is told the same batch: it is not copied before it is taken.
    Changes(Arc<Batch>),
    Told(Event),
    Failed(Error),
}

/// What becomes of a subscriber who cannot be told a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// He is told it.
    Told,
    /// Too much waits for him: he needs the whole state.
    Overflown,
}

impl Queue {
    /// Of a subscriber who begins with a snapshot, or goes on after a point in the past.
    pub(super) fn new(since: u64, resumes: bool, bound: usize) -> Self {
        let (waiting, waker) = (VecDeque::new(), None);
        Self { since, begun: resumes, waiting, weight: 0, bound, stale: false, ended: false, waker }
    }

    /// True while he waits for a list that is asked for as the `asked`th or later.
    pub(super) fn awaits(&self, asked: u64) -> bool {
        !self.begun && !self.ended && self.since >= asked
    }

    /// True while he waits, and the `asked`th list is new enough for him.
    pub(super) fn is_served_by(&self, asked: u64) -> bool {
        !self.begun && !self.ended && self.since < asked
    }

    /// The view is as new as a list that was asked for as the `asked`th: who waits for one begins with it.
    pub(super) fn begin(&mut self, asked: u64) {
        if self.is_served_by(asked) {
            self.push_state(Cause::Initial);
        }
    }

    /// The view was replaced by such a list: the subscriber gets the whole state next.
    pub(super) fn replace(&mut self, cause: Cause, asked: u64) {
        if self.begun {
            self.push_state(cause);
        } else {
            self.begin(asked);
        }
    }

    pub(super) fn push_state(&mut self, cause: Cause) {
        self.begun = true;
        let owed = self.waiting.iter().find_map(|item| match item {
            Item::State(cause) => Some(*cause),
            _ => None,
        });
        // The subscriber has not heard of it yet: he has no state at all, or one of another history.
        let cause = owed.filter(|owed| matches!(owed, Cause::Initial | Cause::Gap(Gap::EpochChanged))).unwrap_or(cause);
        self.waiting.clear();
        self.weight = 0;
        self.push(Item::State(cause));
    }

    /// Lets the subscriber know of a batch with changes, which the view includes already.
    pub(super) fn push_batch(&mut self, batch: &Arc<Batch>) -> Pushed {
        if !self.begun || self.owes_state() {
            return Pushed::Told;
        }
        // One batch may always wait, however large it is: nobody is slow yet.
        let alone = self.weight == 0;
        self.weight += weight(batch);
        self.push(Item::Changes(Arc::clone(batch)));
        if alone || self.weight <= self.bound {
            return Pushed::Told;
        }
        self.merge(batch.index);
        if self.weight > self.bound / 2 { Pushed::Overflown } else { Pushed::Told }
    }

    /// Tells of an interruption; one that nobody has heard of yet is replaced.
    pub(super) fn push_interrupted(&mut self, event: Event) {
        if matches!(self.waiting.back(), Some(Item::Told(Event::Interrupted { .. }))) {
            self.waiting.pop_back();
        }
        self.push(Item::Told(event));
    }

    /// Tells that the watch runs again, unless nobody has heard that it did not.
    pub(super) fn push_resumed(&mut self, index: Index) {
        if !self.begun {
            return;
        }
        if matches!(self.waiting.back(), Some(Item::Told(Event::Interrupted { .. }))) {
            self.waiting.pop_back();
        }
        if self.stale && !self.owes_state() && !self.owes_resumed() {
            self.push(Item::Told(Event::Resumed { index }));
        }
    }

    /// The last item.
    pub(super) fn fail(&mut self, error: Error) {
        self.push(Item::Failed(error));
        self.ended = true;
    }

    pub(super) fn poll(&mut self, view: &View, context: &mut Context<'_>) -> Poll<Option<Result<Event>>> {
        let Some(item) = self.waiting.pop_front() else {
            if self.ended {
                return Poll::Ready(None);
            }
            self.waker = Some(context.waker().clone());
            return Poll::Pending;
        };
        Poll::Ready(Some(match item {
            Item::State(cause) => {
                self.stale = false;
                Ok(Event::Snapshot { snapshot: view.snapshot(), cause })
            }
            Item::Changes(batch) => {
                self.weight -= weight(&batch);
                Ok(Event::Changes(Arc::unwrap_or_clone(batch)))
            }
            Item::Told(event) => {
                self.stale = matches!(event, Event::Interrupted { .. });
                Ok(event)
            }
            Item::Failed(error) => Err(error),
        }))
    }

    fn push(&mut self, item: Item) {
        // Others who share the feed go on being told.
        if self.ended {
            return;
        }
        self.waiting.push_back(item);
    }

    /// Who is to be woken, for something waits for him now.
    pub(super) fn awaited(&mut self) -> Option<Waker> {
        if self.waiting.is_empty() { None } else { self.waker.take() }
    }

    fn owes_state(&self) -> bool {
        self.waiting.iter().any(|item| matches!(item, Item::State(_)))
    }

    fn owes_resumed(&self) -> bool {
        self.waiting.iter().any(|item| matches!(item, Item::Told(Event::Resumed { .. })))
    }

    /// Keeps the last change of each name, and the end of an interruption that the subscriber has heard of.
    fn merge(&mut self, index: Index) {
        let mut last: BTreeMap<Name, (usize, Change)> = BTreeMap::new();
        let mut resumed = None;
        let mut order = 0;
        for item in self.waiting.drain(..) {
            match item {
                Item::Changes(batch) => {
                    for change in Arc::unwrap_or_clone(batch).changes {
                        last.insert(change.name().clone(), (order, change));
                        order += 1;
                    }
                }
                Item::Told(Event::Resumed { .. }) => resumed = Some(item),
                Item::Told(_) | Item::State(_) | Item::Failed(_) => {}
            }
        }
        let mut changes: Vec<_> = last.into_values().collect();
        changes.sort_by_key(|(order, _)| *order);
        let changes: Vec<_> = changes.into_iter().map(|(_, change)| change).collect();
        let batch = Batch { changes, index };
        self.weight = weight(&batch);
        self.waiting.extend(resumed);
        self.push(Item::Changes(Arc::new(batch)));
    }

    /// How many items wait, how many changes are in them, and how many bytes of names and values.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> (usize, usize, usize) {
        let batches = self.waiting.iter().filter_map(|item| match item {
            Item::Changes(batch) => Some(batch),
            _ => None,
        });
        let changes: Vec<_> = batches.flat_map(|batch| &batch.changes).collect();
        (self.waiting.len(), changes.len(), changes.iter().map(|change| size(change)).sum())
    }
}

/// What a batch counts: each change once for every `UNIT` that it begins. A name is never empty, so each counts.
fn weight(batch: &Batch) -> usize {
    batch.changes.iter().map(|change| size(change).div_ceil(UNIT)).sum()
}

/// The bytes of a change that are not the same for every one.
fn size(change: &Change) -> usize {
    let value = match change {
        Change::Put(entry) => entry.value.len(),
        Change::Remove { .. } => 0,
    };
    change.name().as_str().len() + value
}
