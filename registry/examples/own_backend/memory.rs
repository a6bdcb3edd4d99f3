//! A registry in the memory of one process: all that a backend has to do, and nothing that it need not.
//!
//! Retrying, renewing, resuming and comparing are not here. They are in `registry-core`, for every backend.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream;
use registry::{
    Batch, BatchStream, Bytes, Capabilities, Change, Condition, Entry, Error, ErrorKind, Index, Info, Key, Lease,
    RegisterOptions, Registry, Removed, Result, Scope, Snapshot, async_trait, check_value,
};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// How many changes are remembered; a watch that is further behind lists again.
const HISTORY: usize = 10_000;
/// How often a watch looks for what has expired, and how often it says that nothing has changed.
const LOOK: Duration = Duration::from_millis(100);
const PROGRESS: Duration = Duration::from_secs(3);

/// A connection to a store; its clones are connections to the same one.
#[derive(Clone, Debug)]
pub(crate) struct Memory(Arc<Mutex<Store>>);

#[derive(Debug)]
struct Store {
    epoch: u64,
    position: u64,
    entries: BTreeMap<String, Owned>,
    history: VecDeque<Past>,
    /// The history up to here is not remembered.
    forgotten: u64,
    moved: watch::Sender<()>,
}

#[derive(Debug)]
struct Owned {
    value: Bytes,
    /// Where it came into being: its identity, and its token.
    since: u64,
    until: Instant,
}

/// One change: the value and identity of what was put, or why it is gone.
#[derive(Debug)]
struct Past {
    position: u64,
    path: String,
    what: Result<(Bytes, u64), Removed>,
}

impl Memory {
    /// A new, empty store.
    pub(crate) fn new() -> Self {
        static STORES: AtomicU64 = AtomicU64::new(1);
        let (epoch, moved) = (STORES.fetch_add(1, Ordering::Relaxed), watch::Sender::new(()));
        let (entries, history) = (BTreeMap::new(), VecDeque::new());
        Self(Arc::new(Mutex::new(Store { epoch, position: 0, entries, history, forgotten: 0, moved })))
    }

    /// The store, without what has expired.
    fn store(&self) -> MutexGuard<'_, Store> {
        let mut store = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let over = store.entries.iter().filter(|(_, owned)| owned.until <= now).map(|(path, _)| path.clone());
        for path in over.collect::<Vec<_>>() {
            store.take(&path, Removed::Expired);
        }
        store
    }
}

impl Store {
    fn index(&self, position: u64) -> Index {
        Index::new(self.epoch, position)
    }

    /// Every change goes through here, at a position of its own.
    fn record(&mut self, path: &str, what: Result<(Bytes, u64), Removed>) {
        self.position += 1;
        self.history.push_back(Past { position: self.position, path: path.to_owned(), what });
        if self.history.len() > HISTORY {
            self.forgotten = self.history.pop_front().map_or(self.forgotten, |past| past.position);
        }
        self.moved.send_replace(());
    }

    fn put(&mut self, key: &Key, value: Bytes, since: Option<u64>, ttl: Duration) -> Lease {
        let since = since.unwrap_or(self.position + 1);
        self.record(key.as_str(), Ok((value.clone(), since)));
        self.entries.insert(key.as_str().to_owned(), Owned { value, since, until: Instant::now() + ttl });
        Lease::new(key.clone(), since.to_string(), self.index(since), ttl)
    }

    fn take(&mut self, path: &str, reason: Removed) -> bool {
        let there = self.entries.remove(path).is_some();
        there.then(|| self.record(path, Err(reason)));
        there
    }

    /// The entry, if it is still held by this lease; else why it is not.
    fn held(&mut self, lease: &Lease) -> Result<&mut Owned> {
        let (path, token) = (lease.key().as_str(), lease.token().position());
        let end = self.history.iter().rfind(|past| past.path == path && past.position > token && past.what.is_err());
        let removed = matches!(end, Some(Past { what: Err(Removed::Deleted), .. }));
        match self.entries.get_mut(path) {
            Some(owned) if owned.since == token => Ok(owned),
            Some(_) => Err(Error::new(ErrorKind::Conflict, format!("{path} is somebody else's"))),
            None if removed => Err(Error::new(ErrorKind::Evicted, format!("{path} was removed"))),
            None => Err(Error::new(ErrorKind::LeaseLost, format!("{path} has expired"))),
        }
    }

    /// What changed in a scope after a point.
    fn after(&self, scope: &Scope, after: Index) -> Result<Batch> {
        let known = self.forgotten..=self.position;
        if !after.same_epoch(self.index(0)) || !known.contains(&after.position()) {
            return Err(Error::new(ErrorKind::Compacted, format!("{scope}: what came after {after:#} is not known")));
        }
        let mut changes = Vec::new();
        for past in self.history.iter().filter(|past| past.position > after.position()) {
            let Some(name) = scope.name_of(&past.path)? else { continue };
            changes.push(match &past.what {
                Ok((value, since)) => Change::Put(Entry { name, value: value.clone(), index: self.index(*since) }),
                Err(reason) => Change::Remove { name, reason: *reason },
            });
        }
        Ok(Batch { changes, index: self.index(self.position) })
    }
}

#[async_trait]
impl Registry for Memory {
    fn info(&self) -> Info {
        Info { scheme: "memory", endpoints: vec!["this process".into()] }
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities::full()
    }
    async fn register(&self, key: &Key, value: Bytes, options: &RegisterOptions) -> Result<Lease> {
        let ttl = options.check(&self.capabilities(), key, &value)?;
        let mut store = self.store();
        let there = store.entries.contains_key(key.as_str());
        if matches!((options.condition, there), (Condition::Absent, true) | (Condition::Present, false)) {
            return Err(Error::new(ErrorKind::Conflict, format!("{key}: the condition does not hold")));
        }
        Ok(store.put(key, value, None, ttl))
    }
    async fn renew(&self, lease: &Lease) -> Result<()> {
        self.store().held(lease)?.until = Instant::now() + lease.ttl();
        Ok(())
    }
    async fn update(&self, lease: &Lease, value: Bytes) -> Result<Lease> {
        check_value(lease.key(), &value)?;
        let mut store = self.store();
        let since = store.held(lease)?.since;
        Ok(store.put(lease.key(), value, Some(since), lease.ttl()))
    }
    async fn deregister(&self, lease: &Lease) -> Result<()> {
        let mut store = self.store();
        let mine = store.held(lease).is_ok();
        mine.then(|| store.take(lease.key().as_str(), Removed::Deleted));
        Ok(())
    }
    async fn remove(&self, key: &Key) -> Result<bool> {
        Ok(self.store().take(key.as_str(), Removed::Deleted))
    }
    async fn list(&self, scope: &Scope) -> Result<Snapshot> {
        let (store, mut entries) = (self.store(), Vec::new());
        for (path, owned) in &store.entries {
            let Some(name) = scope.name_of(path)? else { continue };
            entries.push(Entry { name, value: owned.value.clone(), index: store.index(owned.since) });
        }
        Ok(Snapshot { entries, index: store.index(store.position) })
    }
    async fn watch(&self, scope: &Scope, after: Index) -> Result<BatchStream> {
        self.store().after(scope, after)?;
        let start = Some((self.clone(), scope.clone(), self.store().moved.subscribe(), after));
        Ok(Box::pin(stream::unfold(start, async |state| {
            let (memory, scope, mut signal, after) = state?;
            let begun = Instant::now();
            loop {
                let batch = memory.store().after(&scope, after);
                match batch {
                    Err(error) => return Some((Err(error), None)),
                    Ok(batch) if !batch.changes.is_empty() || begun.elapsed() > PROGRESS => {
                        let next = (memory, scope, signal, batch.index);
                        return Some((Ok(batch), Some(next)));
                    }
                    Ok(_) => drop(timeout(LOOK, signal.changed()).await),
                }
            }
        })))
    }
}
