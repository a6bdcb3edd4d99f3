//! The registry over the store.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream;
use registry_core::{
    BatchStream, Bytes, Capabilities, Condition, Error, ErrorKind, Index, Info, Key, Lease, RegisterOptions, Registry,
    Result, Scope, Snapshot, async_trait, check_value,
};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};

use crate::config::Config;
use crate::error::interrupted;
use crate::hub::Hub;
use crate::store::Store;
use crate::turns::{self, Call, Turns, Work};

/// How often a watch shows that it is alive.
const PROGRESS: Duration = Duration::from_secs(10);
/// How often a call waits for owners that may be about to renew; each time for a second at most.
const SETTLING: u32 = 3;

/// A registry in a file on this host. Cheap to clone; the clones share one connection.
#[derive(Clone)]
pub struct SqliteRegistry {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    config: Config,
    /// `None` until it is needed, and after the file was taken away.
    store: Mutex<Option<Store>>,
    hub: Hub,
    pub(crate) turns: Turns,
}

/// Opens the store, and makes it if it does not exist. Blocks for as long as a file is opened.
///
/// A store that this user may read but not write is opened for reading only, as with [`Config::read_only`]: then whatever writes is
/// `PermissionDenied`, and nobody is removed by this process.
///
/// # Errors
/// `Config` or `PermissionDenied`, naming the file and what to do.
pub fn connect(config: Config) -> Result<SqliteRegistry> {
    let store = match Store::open(&config) {
        // Who only reads waits for the one who makes the store.
        Err(error) if config.read_only && error.kind() == ErrorKind::Unavailable => None,
        opened => Some(opened?),
    };
    let shared = Shared { config, store: Mutex::new(store), hub: Hub::default(), turns: Turns::default() };
    Ok(SqliteRegistry { shared: Arc::new(shared) })
}

impl Shared {
    pub(crate) fn path(&self) -> &Path {
        &self.config.path
    }

    /// Reads, on a thread that may block.
    pub(crate) async fn read<T, F>(self: &Arc<Self>, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Store) -> Result<T> + Send + 'static,
    {
        self.call(false, work).await
    }

    /// Changes something, on a thread that may block; together with other changes that wait.
    async fn write<T, F>(self: &Arc<Self>, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Store) -> Result<T> + Send + 'static,
    {
        self.call(true, work).await
    }

    /// Does it when it is known which of the entries that are overdue have been left by their owners. After a while it is done anyway.
    async fn settled<T, F>(self: &Arc<Self>, writes: bool, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Store) -> Result<T> + Clone + Send + 'static,
    {
        for _ in 0..SETTLING {
            let work = work.clone();
            let done = self.call(writes, move |store| match store.settle()? {
                Some(wait) => Ok(Err(wait)),
                None => work(store).map(Ok),
            });
            match done.await? {
                Ok(done) => return Ok(done),
                Err(wait) => sleep(wait).await,
            }
        }
        self.call(writes, work).await
    }

    async fn call<T, F>(self: &Arc<Self>, writes: bool, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Store) -> Result<T> + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        let work: Work = Box::new(move |store| {
            let result = store.and_then(work);
            Box::new(move |certain| drop(tell.send(certain.and(result))))
        });
        turns::call(self, Call { writes, work });
        told.await.unwrap_or_else(|_| Err(interrupted(self.path())))
    }

    pub(crate) fn with_store(&self, work: impl FnOnce(Result<&mut Store>)) {
        // One that was left in the middle of a transaction is dropped, which undoes it.
        let mut slot = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let store = slot
            .take()
            .filter(|store| store.is_current() && !store.is_together())
            .map_or_else(|| Store::open(&self.config), Ok);
        work(store.map(|store| slot.insert(store)));
    }
}

impl SqliteRegistry {
    /// Forgets the history up to now: watches that have not read it get a snapshot.
    ///
    /// # Errors
    /// `Unavailable` when the store cannot be written.
    pub async fn compact(&self) -> Result<()> {
        self.shared.write(Store::compact).await.map_err(|error| error.during("compact"))
    }
}

impl fmt::Debug for SqliteRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteRegistry").field("path", &self.shared.path()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Registry for SqliteRegistry {
    fn info(&self) -> Info {
        Info { scheme: "sqlite", endpoints: vec![self.shared.path().display().to_string()] }
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::full()
    }

    async fn register(&self, key: &Key, value: Bytes, options: &RegisterOptions) -> Result<Lease> {
        let ttl = options.check(&self.capabilities(), key, &value)?;
        let (key, options) = (key.clone(), *options);
        let register = move |store: &mut Store| store.register(&key, &value, &options, ttl);
        match options.condition {
            Condition::Any => self.shared.write(register).await,
            _ => self.shared.settled(true, register).await,
        }
    }

    async fn renew(&self, lease: &Lease) -> Result<()> {
        let lease = lease.clone();
        self.shared.write(move |store| store.renew(&lease, None)).await
    }

    async fn update(&self, lease: &Lease, value: Bytes) -> Result<Lease> {
        check_value(lease.key(), &value)?;
        let renewed = lease.clone();
        self.shared.write(move |store| store.renew(&renewed, Some(&value)).map(|()| renewed)).await
    }

    async fn deregister(&self, lease: &Lease) -> Result<()> {
        let lease = lease.clone();
        self.shared.write(move |store| store.deregister(&lease)).await
    }

    async fn remove(&self, key: &Key) -> Result<bool> {
        let key = key.clone();
        self.shared.write(move |store| store.remove(&key)).await
    }

    async fn list(&self, scope: &Scope) -> Result<Snapshot> {
        let scope = scope.clone();
        self.shared.settled(false, move |store: &mut Store| store.list(&scope)).await
    }

    async fn watch(&self, scope: &Scope, after: Index) -> Result<BatchStream> {
        let watch = Watch {
            shared: Arc::clone(&self.shared),
            scope: scope.clone(),
            after,
            signal: self.shared.hub.signal(&self.shared),
        };
        // Looks once before it returns, so that a history that is gone is reported at once.
        let first = watch.changes().await?;
        let watch = Watch { after: first.index, ..watch };
        let rest = stream::try_unfold(watch, Watch::next);
        let first = stream::iter((!first.changes.is_empty()).then_some(Ok(first)));
        Ok(Box::pin(futures_util::StreamExt::chain(first, rest)))
    }
}

struct Watch {
    shared: Arc<Shared>,
    scope: Scope,
    after: Index,
    signal: tokio::sync::watch::Receiver<()>,
}

impl Watch {
    async fn changes(&self) -> Result<registry_core::Batch> {
        let (scope, after) = (self.scope.clone(), self.after);
        self.shared.read(move |store| store.changes(&scope, after)).await
    }

    /// Waits until there is something to tell, or it is time to show that the watch is alive.
    async fn next(mut self) -> Result<Option<(registry_core::Batch, Self)>> {
        let alive_at = Instant::now() + PROGRESS;
        loop {
            self.signal.mark_unchanged();
            let batch = self.changes().await?;
            let idle = batch.changes.is_empty();
            self.after = batch.index;
            if !idle || Instant::now() >= alive_at {
                return Ok(Some((batch, self)));
            }
            if let Ok(Err(_)) = timeout_at(alive_at, self.signal.changed()).await {
                return Err(ended(&self.shared));
            }
        }
    }
}

fn ended(shared: &Shared) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the watch of {} ended", shared.path().display()))
}
