//! A registry in memory that does what its script says.

use std::collections::BTreeSet;
use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use registry_core::{
    BatchStream, Bytes, Capabilities, Change, ErrorKind, Index, Info, Key, Lease, Moment, RegisterOptions, Registry,
    Removed, Result, Scope, Snapshot, async_trait, check_value,
};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::{Instant, sleep};

use super::oracle::{Deed, Oracle};
use super::script::{Call, Cut, Fault, Op, Plan, Script};
use super::{bytes, dir, error, key, millis, stream};

/// How long a healthy call takes. Not zero: what is called without a pause must not stop the clock.
const LATENCY: Duration = millis(1);

pub(crate) struct Fake {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    core: Mutex<Core>,
    /// Wakes the open watches.
    pub(crate) signal: Notify,
}

pub(crate) struct Core {
    pub(crate) oracle: Oracle,
    pub(crate) script: Script,
    pub(crate) able: Capabilities,
    /// Names whose changes the watches swallow, as faulty servers do.
    pub(crate) lost: BTreeSet<String>,
    /// How much later than a change the watches tell it.
    pub(crate) lag: Duration,
    /// How much later still, one watch after the other: each speaks to another replica.
    pub(crate) replicas: Vec<Duration>,
    /// Watches tell everything there is in one batch.
    pub(crate) whole: bool,
    /// The watches do not say why an entry is gone; whoever asks hears it if this says so.
    pub(crate) reasons: Reasons,
    /// When another server took the lead.
    pub(crate) led: Option<Moment>,
    /// What became of all watches that were open at the time.
    pub(crate) cuts: Vec<Cut>,
    pub(crate) open: usize,
    pub(crate) opened: usize,
}

/// Where the reason of a removal can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reasons {
    /// From the watch.
    Told,
    /// From whoever asks afterwards.
    Asked,
    /// Nowhere.
    Unknown,
}

impl Shared {
    pub(crate) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the world, and lets the watches see it.
    fn change<T>(&self, change: impl FnOnce(&mut Core) -> T) -> T {
        let result = {
            let mut core = self.core();
            core.oracle.expire();
            change(&mut core)
        };
        self.signal.notify_waiters();
        result
    }
}

impl Fake {
    pub(crate) fn new() -> Arc<Self> {
        Self::with(Capabilities::full())
    }

    pub(crate) fn with(able: Capabilities) -> Arc<Self> {
        let core = Core {
            oracle: Oracle::new(),
            script: Script::default(),
            able,
            lost: BTreeSet::new(),
            lag: Duration::ZERO,
            replicas: Vec::new(),
            whole: false,
            reasons: Reasons::Told,
            led: None,
            cuts: Vec::new(),
            open: 0,
            opened: 0,
        };
        let shared = Arc::new(Shared { core: Mutex::new(core), signal: Notify::new() });
        Arc::new(Self { shared })
    }

    pub(crate) fn core(&self) -> MutexGuard<'_, Core> {
        self.shared.core()
    }

    /// Changes the world, and lets the watches see it.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Core) -> T) -> T {
        self.shared.change(change)
    }

    /// Returns when the world may have changed. Made before a look at the world, it misses nothing afterwards.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.shared.signal.notified()
    }

    /// Somebody else's entry, which stays.
    pub(crate) fn put(&self, name: &str, value: &str) -> Index {
        self.change(|core| core.oracle.commit(vec![(key(name), Deed::Put(bytes(value)))]))
    }

    /// Several changes in one revision; `None` removes.
    pub(crate) fn together(&self, changes: &[(&str, Option<&str>)]) -> Index {
        let deed = |value: Option<&str>| value.map_or(Deed::Remove(Removed::Deleted), |value| Deed::Put(bytes(value)));
        let deeds = changes.iter().map(|(name, value)| (key(name), deed(*value))).collect();
        self.change(|core| core.oracle.commit(deeds))
    }

    /// An administrator's eviction.
    pub(crate) fn evict(&self, name: &str) {
        self.change(|core| core.oracle.commit(vec![(key(name), Deed::Remove(Removed::Deleted))]));
    }

    /// The server loses a lease before its time.
    pub(crate) fn forget(&self, name: &str) {
        self.change(|core| core.oracle.commit(vec![(key(name), Deed::Remove(Removed::Expired))]));
    }

    /// A change where nobody looks.
    pub(crate) fn elsewhere(&self) -> Index {
        let key = Key::parse("/elsewhere/x").expect("a valid path");
        self.change(|core| core.oracle.commit(vec![(key, Deed::Put(bytes("1")))]))
    }

    /// Forgets the history up to now.
    pub(crate) fn compact(&self) {
        self.change(|core| core.oracle.compacted = core.oracle.head.position());
    }

    pub(crate) fn next(&self, op: Op, fault: Fault) {
        self.core().script.next(op, fault);
    }

    pub(crate) fn every(&self, op: Op, fault: Fault) {
        self.core().script.every(op, fault);
    }

    /// Every call fails, and every watch breaks.
    pub(crate) fn outage(&self) {
        for op in [Op::Register, Op::Renew, Op::Update, Op::Deregister, Op::Remove, Op::List, Op::Watch] {
            self.every(op, Fault::Fail(ErrorKind::Unavailable));
        }
        self.cut(Cut::Fail(ErrorKind::Unavailable));
    }

    /// Ends all faults; what was cut stays cut.
    pub(crate) fn heal(&self) {
        self.change(|core| {
            core.script.heal();
            core.lost.clear();
            core.lag = Duration::ZERO;
            core.replicas.clear();
        });
    }

    pub(crate) fn plan(&self, batches: usize, then: Cut) {
        self.core().script.plans.push(Plan { batches, then });
    }

    pub(crate) fn plan_every(&self, batches: usize, then: Cut) {
        self.core().script.plan = Some(Plan { batches, then });
    }

    /// Cuts every watch that is open now.
    pub(crate) fn cut(&self, how: Cut) {
        self.change(|core| core.cuts.push(how));
    }

    pub(crate) fn lose(&self, name: &str) {
        self.core().lost.insert(name.to_owned());
    }

    /// What the registry holds in the directory.
    pub(crate) fn holds(&self) -> Snapshot {
        self.change(|core| core.oracle.list(&dir().into()))
    }

    pub(crate) fn value(&self, name: &str) -> Option<Bytes> {
        self.change(|core| core.oracle.get(&key(name)).map(|stored| stored.value.clone()))
    }

    /// The exact changes of the directory between a point and now.
    pub(crate) fn changes_since(&self, start: Index) -> Vec<Change> {
        self.change(|core| core.oracle.between(&dir().into(), start, core.oracle.head))
    }

    pub(crate) fn head(&self) -> Index {
        self.core().oracle.head
    }

    pub(crate) fn calls(&self, op: Op) -> Vec<Call> {
        self.core().script.calls.iter().filter(|call| call.op == op).cloned().collect()
    }

    pub(crate) fn times(&self, op: Op) -> Vec<Instant> {
        self.calls(op).into_iter().map(|call| call.at).collect()
    }

    pub(crate) fn count(&self, op: Op) -> usize {
        self.calls(op).len()
    }

    /// How many calls of any kind were made.
    pub(crate) fn total(&self) -> usize {
        self.core().script.calls.len()
    }

    pub(crate) fn open_watches(&self) -> usize {
        self.core().open
    }

    async fn serve<T: 'static>(
        &self,
        call: Call,
        work: impl FnOnce(&mut Core) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let fault = self.core().script.begin(call);
        sleep(LATENCY).await;
        match fault {
            None => self.change(work),
            Some(Fault::Fail(kind)) => Err(error(kind)),
            Some(Fault::Hang) => pending().await,
            Some(Fault::Slow(span)) => {
                let result = self.change(work);
                sleep(span).await;
                result
            }
            Some(Fault::Late(span)) => {
                sleep(span).await;
                self.change(work)
            }
            Some(Fault::AnswerLost) => self.change(work).and(Err(error(ErrorKind::Timeout))),
            Some(Fault::Overtaken(span)) => {
                let shared = Arc::downgrade(&self.shared);
                tokio::spawn(async move {
                    sleep(span).await;
                    if let Some(shared) = shared.upgrade() {
                        let _ = shared.change(work);
                    }
                });
                Err(error(ErrorKind::Timeout))
            }
        }
    }
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fake").finish_non_exhaustive()
    }
}

#[async_trait]
impl Registry for Fake {
    fn info(&self) -> Info {
        Info { scheme: "fake", endpoints: Vec::new() }
    }

    fn capabilities(&self) -> Capabilities {
        self.core().able
    }

    async fn register(&self, key: &Key, value: Bytes, options: &RegisterOptions) -> Result<Lease> {
        let ttl = options.check(&self.capabilities(), key, &value)?;
        let call = Call { condition: options.condition, ..Call::of(Op::Register) };
        let (key, condition) = (key.clone(), options.condition);
        self.serve(call, move |core| core.oracle.register(&key, value, condition, ttl)).await
    }

    async fn renew(&self, lease: &Lease) -> Result<()> {
        let lease = lease.clone();
        self.serve(Call::of(Op::Renew), move |core| core.oracle.renew(&lease, None)).await
    }

    async fn update(&self, lease: &Lease, value: Bytes) -> Result<Lease> {
        check_value(lease.key(), &value)?;
        let lease = lease.clone();
        self.serve(Call::of(Op::Update), move |core| core.oracle.renew(&lease, Some(value)).map(|()| lease)).await
    }

    async fn deregister(&self, lease: &Lease) -> Result<()> {
        let lease = lease.clone();
        self.serve(Call::of(Op::Deregister), move |core| {
            core.oracle.deregister(&lease);
            Ok(())
        })
        .await
    }

    async fn remove(&self, key: &Key) -> Result<bool> {
        let key = key.clone();
        self.serve(Call::of(Op::Remove), move |core| {
            let there = core.oracle.get(&key).is_some();
            if there {
                core.oracle.commit(vec![(key, Deed::Remove(Removed::Deleted))]);
            }
            Ok(there)
        })
        .await
    }

    async fn list(&self, scope: &Scope) -> Result<Snapshot> {
        let scope = scope.clone();
        self.serve(Call::of(Op::List), move |core| Ok(core.oracle.list(&scope))).await
    }

    async fn watch(&self, scope: &Scope, after: Index) -> Result<BatchStream> {
        let call = Call { after, ..Call::of(Op::Watch) };
        let (shared, scope) = (Arc::clone(&self.shared), scope.clone());
        self.serve(call, move |core| {
            if !core.oracle.reaches(after) {
                return Err(error(ErrorKind::Compacted));
            }
            Ok(stream::open(&shared, core, &scope, after))
        })
        .await
    }

    fn leader_changed(&self) -> Option<Moment> {
        self.core().led
    }

    async fn why_removed(&self, key: &Key, at: Index) -> Result<Removed> {
        let key = key.clone();
        self.serve(Call::of(Op::WhyRemoved), move |core| match core.reasons {
            Reasons::Told | Reasons::Asked => Ok(core.oracle.why_removed(&key, at).unwrap_or(Removed::Unknown)),
            Reasons::Unknown => Ok(Removed::Unknown),
        })
        .await
    }
}
