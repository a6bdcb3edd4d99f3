//! Removals that are suppressed for a while, because the members are probably alive.
//!
//! After an outage that was longer than their TTL members are gone although all of them live: they come back one after the
//! other, and a reader that acts on each step would act on a part of them. So additions pass at once, and a removal that may
//! be an expiry waits until its member has had time to come back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};

use super::hub::Hub;
use super::{Cause, Event};
use crate::clock::Moment;
use crate::entry::{Batch, Change, Entry, Removed, Snapshot};
use crate::error::Result;
use crate::index::Index;
use crate::name::{Name, Scope};
use crate::name_map::NameMap;
use crate::registry::Registry;

/// How long a removal that may be an expiry waits for others, without any other reason to suppress it.
const SETTLE: Duration = Duration::from_millis(250);
/// At least this many members, and at least one in `MANY_OF`, that expire within `SETTLE` are suppressed: that many seldom die
/// together, and a server that was frozen lets all of them expire before it takes their renewals.
const MANY: usize = 2;
const MANY_OF: usize = 3;
/// How long the registry may take to say why entries are gone, and of how many it is asked.
const ASK_LIMIT: Duration = Duration::from_secs(5);
const ASK_MOST: usize = 256;

/// What is suppressed at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Suppressed {
    /// How many members are gone on the server and still reported.
    pub count: usize,
    /// When the last of them will be removed, unless it comes back or another outage comes.
    pub until: std::time::Instant,
}

/// The part of a subscription that suppresses removals.
pub(super) struct Grace {
    registry: Arc<dyn Registry>,
    scope: Scope,
    period: Duration,
    /// What the subscriber knows, with the members that are suspected to be gone.
    known: NameMap<Entry>,
    index: Index,
    suspects: BTreeMap<Name, Suspect>,
    /// Set while an interruption lasts: nothing is removed then.
    stale: bool,
    /// When many members expired together the last time.
    many_expired: Option<Instant>,
    /// Suspects that the registry has still to be asked about.
    to_ask: BTreeSet<Name>,
    asking: Option<JoinHandle<Vec<(Name, Removed)>>>,
    ready: VecDeque<Event>,
    timer: Option<Pin<Box<Sleep>>>,
    suppressed: watch::Sender<Option<Suppressed>>,
}

/// A member that is gone on the server and still reported.
#[derive(Clone, Copy, Debug)]
struct Suspect {
    reason: Removed,
    /// Where in the history it was removed.
    at: Index,
    /// When it is removed for the subscriber as well.
    until: Instant,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Waits for others that expire with it.
    Settling,
    /// Many were removed together, and the registry is asked whether they expired.
    Counted,
    /// It probably comes back.
    Suppressed,
}

impl Grace {
    pub(super) fn new(registry: Arc<dyn Registry>, scope: Scope, period: Duration, listed: Option<&Snapshot>) -> Self {
        let mut grace = Self {
            registry,
            scope,
            period,
            known: NameMap::default(),
            index: Index::default(),
            suspects: BTreeMap::new(),
            stale: false,
            many_expired: None,
            to_ask: BTreeSet::new(),
            asking: None,
            ready: VecDeque::new(),
            timer: None,
            suppressed: watch::Sender::default(),
        };
        if let Some(listed) = listed {
            grace.replace_known(listed);
        }
        grace
    }

    /// What was known before the list.
    pub(super) fn add_known(&mut self, known: &Snapshot) {
        let until = Instant::now() + self.period;
        // They were there at that point, so they went after it.
        let at = Index::new(known.index.epoch(), known.index.position().saturating_add(1));
        let suspect = Suspect { reason: Removed::Unknown, at, until, kind: Kind::Suppressed };
        for entry in &known.entries {
            if self.known.get(&entry.name).is_none() {
                self.suspects.insert(entry.name.clone(), suspect);
                self.to_ask.insert(entry.name.clone());
                self.known.insert(entry.name.clone(), entry.clone());
            }
        }
        if !self.suspects.is_empty() {
            self.say(until);
        }
        self.publish();
    }

    /// What is suppressed, as of the last time that this was polled.
    pub(super) fn suppressed(&self) -> watch::Receiver<Option<Suppressed>> {
        self.suppressed.subscribe()
    }

    pub(super) fn poll(&mut self, hub: &Hub, number: u64, context: &mut Context<'_>) -> Poll<Option<Result<Event>>> {
        let polled = self.poll_events(hub, number, context);
        self.publish();
        polled
    }

    fn publish(&self) {
        let suppressed = self.suspects.values().filter(|suspect| suspect.kind == Kind::Suppressed);
        let until = suppressed.clone().map(|suspect| suspect.until.into_std()).max();
        let now = until.map(|until| Suppressed { count: suppressed.count(), until });
        self.suppressed.send_if_modified(|before| std::mem::replace(before, now) != now);
    }

    fn poll_events(&mut self, hub: &Hub, number: u64, context: &mut Context<'_>) -> Poll<Option<Result<Event>>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(event)));
            }
            let (polled, disturbed) = {
                let mut feed = hub.feed();
                (feed.poll(number, context), feed.disturbed())
            };
            match polled {
                Poll::Ready(Some(Ok(event))) => {
                    self.take(event, disturbed);
                    continue;
                }
                Poll::Ready(end) => return Poll::Ready(end),
                Poll::Pending => {}
            }
            if self.poll_answers(context, disturbed) || self.poll_timer(context, disturbed) {
                continue;
            }
            return Poll::Pending;
        }
    }

    /// Until when removals are suppressed, if they are.
    fn disturbed_until(&self, disturbed: Option<Instant>) -> Option<Instant> {
        let led = self.registry.leader_changed().map(Moment::at);
        let last = [disturbed, led, self.many_expired].into_iter().flatten().max()?;
        Some(last + self.period).filter(|until| *until > Instant::now())
    }

    /// Passes an event on, without the removals that wait.
    fn take(&mut self, event: Event, disturbed: Option<Instant>) {
        match event {
            Event::Snapshot { snapshot, cause } => {
                self.stale = false;
                let snapshot = self.take_snapshot(&snapshot, cause, disturbed);
                self.ready.push_back(Event::Snapshot { snapshot, cause });
            }
            Event::Changes(batch) => {
                self.index = batch.index;
                let passed: Vec<_> =
                    batch.changes.into_iter().filter_map(|change| self.take_change(change, disturbed)).collect();
                self.push(passed);
            }
            Event::Interrupted { .. } => {
                self.stale = true;
                self.ready.push_back(event);
            }
            Event::Resumed { index } => {
                (self.stale, self.index) = (false, index);
                self.extend(disturbed);
                self.ready.push_back(event);
            }
        }
    }

    /// The snapshot with the members that are missing in it and probably alive.
    fn take_snapshot(&mut self, listed: &Snapshot, cause: Cause, disturbed: Option<Instant>) -> Snapshot {
        let until = self.disturbed_until(disturbed).filter(|_| cause != Cause::Initial || !self.known.is_empty());
        let before = std::mem::take(&mut self.known);
        let came_back = self.replace_known(listed);
        self.extend(disturbed);
        let gone: Vec<_> = before.iter().filter(|(name, _)| self.known.get(name).is_none()).collect();
        for (name, entry) in gone {
            if let Some(until) = until {
                let suspect = Suspect { reason: Removed::Unknown, at: listed.index, until, kind: Kind::Suppressed };
                self.suspects.entry(name.clone()).or_insert(suspect);
            }
            if self.suspects.contains_key(name) {
                self.known.insert(name.clone(), entry.clone());
            }
        }
        self.report(came_back);
        Snapshot { entries: self.known.values().cloned().collect(), index: listed.index }
    }

    /// What the server has is known, and not suspected. Returns how many of the suspects are there again.
    fn replace_known(&mut self, listed: &Snapshot) -> usize {
        self.index = listed.index;
        self.known = listed.entries.iter().map(|entry| (entry.name.clone(), entry.clone())).collect();
        let before = self.suspects.len();
        let known = &self.known;
        self.suspects.retain(|name, _| known.get(name).is_none());
        before - self.suspects.len()
    }

    fn take_change(&mut self, change: Change, disturbed: Option<Instant>) -> Option<Change> {
        match change {
            Change::Put(entry) => {
                self.known.insert(entry.name.clone(), entry.clone());
                if self.suspects.remove(&entry.name).is_some() {
                    self.report(1);
                }
                Some(Change::Put(entry))
            }
            Change::Remove { name, reason: Removed::Deleted } => {
                self.suspects.remove(&name);
                self.known.remove(&name);
                Some(Change::Remove { name, reason: Removed::Deleted })
            }
            Change::Remove { name, reason } => {
                self.suspect(name, reason, disturbed);
                None
            }
        }
    }

    fn suspect(&mut self, name: Name, reason: Removed, disturbed: Option<Instant>) {
        let (until, kind) = if let Some(until) = self.disturbed_until(disturbed) {
            (until, Kind::Suppressed)
        } else {
            let others = self.suspects.values().filter(|suspect| suspect.kind == Kind::Settling);
            (others.map(|suspect| suspect.until).min().unwrap_or(Instant::now() + SETTLE), Kind::Settling)
        };
        let first = self.suspects.values().all(|suspect| suspect.kind != Kind::Suppressed);
        self.suspects.insert(name.clone(), Suspect { reason, at: self.index, until, kind });
        if kind == Kind::Suppressed {
            if reason == Removed::Unknown {
                self.to_ask.insert(name);
            }
            if first {
                self.say(until);
            }
        }
    }

    /// Another disturbance gives all suspects more time.
    fn extend(&mut self, disturbed: Option<Instant>) {
        let Some(until) = self.disturbed_until(disturbed) else { return };
        for suspect in self.suspects.values_mut() {
            (suspect.until, suspect.kind) = (suspect.until.max(until), Kind::Suppressed);
        }
    }

    /// True when something was ready, or may be by now.
    fn poll_timer(&mut self, context: &mut Context<'_>, disturbed: Option<Instant>) -> bool {
        let due = self.suspects.values().filter(|suspect| suspect.kind != Kind::Counted).map(|suspect| suspect.until);
        let Some(due) = due.min().filter(|_| !self.stale) else {
            self.timer = None;
            return false;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        if timer.as_mut().poll(context).is_pending() {
            return false;
        }
        self.timer = None;
        self.decide(disturbed);
        true
    }

    /// The time of some suspects is over.
    fn decide(&mut self, disturbed: Option<Instant>) {
        let now = Instant::now();
        let over = |kind| {
            let over = self.suspects.iter().filter(|(_, suspect)| suspect.kind == kind && suspect.until <= now);
            over.map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        let settled = over(Kind::Settling);
        if self.is_many(settled.len()) {
            // The first of a disturbance may be noticed a little later than what it did.
            if let Some(until) = self.disturbed_until(disturbed) {
                self.set(&settled, until, Kind::Suppressed);
                return;
            }
            let ask = |suspect: &Suspect| suspect.reason == Removed::Unknown;
            let unknown: Vec<_> =
                settled.iter().filter(|name| self.suspects.get(name).is_some_and(ask)).cloned().collect();
            if unknown.is_empty() {
                self.suppress_many(&settled);
            } else {
                self.set(&settled, now, Kind::Counted);
                self.to_ask.extend(unknown);
            }
            return;
        }
        let suppressed = over(Kind::Suppressed);
        if !suppressed.is_empty() {
            tracing::info!(scope = %self.scope, count = suppressed.len(), "removed members that did not come back");
        }
        self.remove(settled.into_iter().chain(suppressed));
    }

    fn is_many(&self, count: usize) -> bool {
        count >= MANY && count * MANY_OF >= self.known.len()
    }

    fn set(&mut self, names: &[Name], until: Instant, kind: Kind) {
        for name in names {
            if let Some(suspect) = self.suspects.get_mut(name) {
                (suspect.until, suspect.kind) = (until, kind);
            }
        }
        if kind == Kind::Suppressed {
            self.say(until);
        }
    }

    fn suppress_many(&mut self, names: &[Name]) {
        let now = Instant::now();
        self.many_expired = Some(now);
        self.set(names, now + self.period, Kind::Suppressed);
    }

    /// Asks why suspects are gone, and takes the answers in. True when there were some.
    fn poll_answers(&mut self, context: &mut Context<'_>, disturbed: Option<Instant>) -> bool {
        if self.asking.is_none() && !self.to_ask.is_empty() {
            let wanted: Vec<_> = std::mem::take(&mut self.to_ask)
                .into_iter()
                .filter_map(|name| self.suspects.get(&name).map(|suspect| (name, suspect.at)))
                .collect();
            self.asking = Some(tokio::spawn(why_removed(Arc::clone(&self.registry), self.scope.clone(), wanted)));
        }
        let Some(asking) = &mut self.asking else { return false };
        let Poll::Ready(answers) = Pin::new(asking).poll(context) else { return false };
        self.asking = None;
        let mut deliberate = Vec::new();
        // A backend that panicked has not answered.
        for (name, reason) in answers.unwrap_or_default() {
            let Some(suspect) = self.suspects.get_mut(&name) else { continue };
            suspect.reason = reason;
            // What nobody can tell is suppressed only for another reason than that many are gone.
            if reason == Removed::Deleted || (reason == Removed::Unknown && suspect.kind == Kind::Counted) {
                deliberate.push(name);
            }
        }
        self.remove(deliberate.into_iter());
        let counted: Vec<_> = self.suspects.iter().filter(|(_, suspect)| suspect.kind == Kind::Counted).collect();
        let counted: Vec<_> = counted.into_iter().map(|(name, _)| name.clone()).collect();
        match self.disturbed_until(disturbed) {
            _ if counted.is_empty() => {}
            Some(until) => self.set(&counted, until, Kind::Suppressed),
            None if self.is_many(counted.len()) => self.suppress_many(&counted),
            None => self.remove(counted.into_iter()),
        }
        true
    }

    /// Removes suspects for the subscriber as well.
    fn remove(&mut self, names: impl Iterator<Item = Name>) {
        let mut changes = Vec::new();
        for name in names {
            let Some(suspect) = self.suspects.remove(&name) else { continue };
            self.known.remove(&name);
            changes.push(Change::Remove { name, reason: suspect.reason });
        }
        self.push(changes);
    }

    fn push(&mut self, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.ready.push_back(Event::Changes(Batch { changes, index: self.index }));
        }
    }

    /// One line when the first removal is suppressed.
    fn say(&self, until: Instant) {
        let wait = until.saturating_duration_since(Instant::now());
        let count = self.suspects.values().filter(|suspect| suspect.kind == Kind::Suppressed).count();
        tracing::info!(
            scope = %self.scope, count, ?wait,
            "suppressed removals: members may have expired because they could not renew"
        );
    }

    /// One line when the last of those that were suppressed is there again.
    fn report(&self, came_back: usize) {
        if came_back > 0 && self.suspects.is_empty() {
            tracing::debug!(scope = %self.scope, "all members whose removal was suppressed are there again");
        }
    }
}

impl Drop for Grace {
    fn drop(&mut self) {
        if let Some(asking) = &self.asking {
            asking.abort();
        }
    }
}

/// Why entries are gone. One that cannot be asked about counts as expired: it is removed later, not sooner.
async fn why_removed(registry: Arc<dyn Registry>, scope: Scope, names: Vec<(Name, Index)>) -> Vec<(Name, Removed)> {
    // A member of the registry's cluster may lag behind the one that showed the removal.
    sleep(SETTLE).await;
    let until = Instant::now() + ASK_LIMIT;
    let mut answers = Vec::with_capacity(names.len());
    for (asked, (name, at)) in names.into_iter().enumerate() {
        let left = until.saturating_duration_since(Instant::now());
        let reason = match scope.key_of(&name) {
            Some(key) if asked < ASK_MOST && !left.is_zero() => {
                match timeout(left, registry.why_removed(&key, at)).await {
                    Ok(Ok(reason)) => reason,
                    Ok(Err(_)) | Err(_) => Removed::Expired,
                }
            }
            _ => Removed::Expired,
        };
        answers.push((name, reason));
    }
    answers
}
