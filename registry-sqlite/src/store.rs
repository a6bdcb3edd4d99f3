//! The store itself: every method is one transaction, or a part of one.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use registry_core::{
    Batch, Bytes, Capabilities, Condition, Error, ErrorKind, Index, Key, Lease, RegisterOptions, Result, Scope,
    Snapshot,
};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior, params};

use crate::adopt;
use crate::clock::{self, Clock};
use crate::config::Config;
use crate::error::{from_sqlite, read_only};
use crate::file::{self, Identity, Stamp};
use crate::statements::{
    HELD, Meta, evict, foreign, forget, meta, next_deadline, one, overdue, record, take, why_lost,
};
use crate::wire::{self, PUT};
use crate::witness::{Due, Witness};

/// How long a write waits for the writers of other processes.
const BUSY: Duration = Duration::from_secs(3);
/// How many changes are read at once.
const BATCH: u32 = 1000;
/// How often a store that changes while it is read at rest is read again.
const CHANGED: usize = 5;
/// How many prepared statements are kept: all that there are.
const STATEMENTS: usize = 32;

/// An open store.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    history: u64,
    identity: Identity,
    connection: Connection,
    clock: Clock,
    witness: Witness,
    /// How many milliseconds until what is overdue may be removed.
    in_doubt: Option<i64>,
    /// How it is read, when it is not written.
    reading: Option<Reading>,
    /// What is written now goes together.
    together: Option<Together>,
}

/// How a store is read by who does not write it.
#[derive(Debug)]
struct Reading {
    /// As the file was when it was opened while nobody had it open to write; `None`: together with the writers.
    at_rest: Option<Stamp>,
    /// Not asked for: this user may not write it.
    by_need: bool,
    has_warned: bool,
}

/// What is known of that which is written together.
#[derive(Debug, Default)]
struct Together {
    /// There is something to tell.
    news: bool,
    /// Why it was undone in the middle, all of it.
    undone: Option<Error>,
}

impl Store {
    pub(crate) fn open(config: &Config) -> Result<Self> {
        Self::open_by(config, Clock::of_process())
    }

    pub(crate) fn open_by(config: &Config, clock: Clock) -> Result<Self> {
        if config.read_only {
            return Self::open_to_read(config, clock, false);
        }
        let (identity, writable) = file::prepare(&config.path)?;
        if !writable {
            return Self::open_to_read(config, clock, true);
        }
        let flags =
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NOFOLLOW | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let failed = |error| from_sqlite(&config.path, &error);
        let connection = Connection::open_with_flags(&config.path, flags).map_err(failed)?;
        connection.busy_timeout(BUSY).map_err(failed)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        // Before anything is written: the file may be another program's.
        adopt::check(&connection, &config.path)?;
        patiently(|| connection.pragma_update(None, "journal_mode", "wal")).map_err(failed)?;
        // A crash of the machine ends the boot that the store belongs to, and with it all that is in it.
        connection.pragma_update(None, "synchronous", "off").map_err(failed)?;
        let mut store = Self {
            path: config.path.clone(),
            history: config.history,
            identity,
            connection,
            witness: Witness::new(clock.now()),
            clock,
            in_doubt: None,
            reading: None,
            together: None,
        };
        let epoch = u64::from_ne_bytes(unique()?[..8].try_into().unwrap_or_default());
        // Positive, so that SQLite and the index agree on it, and never 0, which means unknown.
        let epoch = i64::try_from(epoch >> 1).unwrap_or(1).max(1);
        // No news: whoever watches hears of a new file from the file system.
        let clock = store.clock.clone();
        store.transaction(TransactionBehavior::Immediate, |tx| adopt::begin(tx, epoch, &clock))?;
        Ok(store)
    }

    fn open_to_read(config: &Config, clock: Clock, by_need: bool) -> Result<Self> {
        let path = &config.path;
        let identity = file::find(path)?;
        let at_rest = if is_written(path) { None } else { file::stamp(path) };
        let mut store = Self {
            path: path.clone(),
            history: config.history,
            identity,
            connection: connect_to_read(path, at_rest.is_some())?,
            witness: Witness::new(clock.now()),
            clock,
            in_doubt: None,
            reading: Some(Reading { at_rest, by_need, has_warned: false }),
            together: None,
        };
        if at_rest.is_some() {
            store.warn("no process has it open to write");
        }
        tracing::debug!(path = %path.display(), by_need, "the store is open for reading only");
        Ok(store)
    }

    fn warn(&mut self, why: &str) {
        if let Some(reading) = &mut self.reading
            && !std::mem::replace(&mut reading.has_warned, true)
        {
            tracing::warn!(
                path = %self.path.display(),
                "{why}: the store is shown as it was left, also members that have died since"
            );
        }
    }

    /// False when the file at the path is another one by now (somebody removed the store while it was open), or may be written by now.
    pub(crate) fn is_current(&self) -> bool {
        let may_do_more = self.reading.as_ref().is_some_and(|reading| reading.by_need && file::is_writable(&self.path));
        !may_do_more && file::identity(&self.path) == Some(self.identity)
    }

    pub(crate) fn register(
        &mut self,
        key: &Key,
        value: &Bytes,
        options: &RegisterOptions,
        ttl: Duration,
    ) -> Result<Lease> {
        let owner = format!("{:032x}", u128::from_ne_bytes(unique()?));
        let due = self.due()?;
        let clock = self.clock.clone();
        let granted = self.write(|tx, meta| {
            evict(tx, meta, &due)?;
            let held = || Ok::<_, rusqlite::Error>(one(tx, HELD, [key.as_str()], |_| Ok(())).optional()?.is_some());
            let refused = match options.condition {
                Condition::Any => false,
                Condition::Absent => held()?,
                Condition::Present => !held()?,
            };
            if refused {
                return Ok(None);
            }
            let position = record(tx, meta, key.as_str(), PUT, value, None, &owner)?;
            let ttl_ms = clock::span(ttl);
            tx.prepare_cached(
                "INSERT OR REPLACE INTO entries (path, value, created, owner, expires, clock, ttl)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                key.as_str(),
                &value[..],
                position,
                owner,
                clock.now() + ttl_ms,
                clock.id(),
                ttl_ms
            ])?;
            Ok(Some(Index::new(meta.epoch, wire::position(position))))
        })?;
        let token = granted.ok_or_else(|| {
            let why = if options.condition == Condition::Absent { "somebody holds it" } else { "nobody holds it" };
            Error::new(ErrorKind::Conflict, format!("{key}: {why}"))
        })?;
        Ok(Lease::new(key.clone(), owner, token, ttl))
    }

    /// Renews, and writes a new value if one is given.
    pub(crate) fn renew(&mut self, lease: &Lease, value: Option<&Bytes>) -> Result<()> {
        let path = lease.key().as_str();
        let due = self.due()?;
        let clock = self.clock.clone();
        let lost = self.write(|tx, meta| {
            evict(tx, meta, &due)?;
            let ttl = clock::span(lease.ttl());
            let expires = clock.now() + ttl;
            // With the clock: a lease may be renewed by another process than the one that registered it.
            let mine = one(
                tx,
                "UPDATE entries SET expires = ?3, value = coalesce(?4, value), clock = ?5, ttl = ?6
                 WHERE path = ?1 AND owner = ?2 RETURNING created",
                params![path, lease.id(), expires, value.map(|value| &value[..]), clock.id(), ttl],
                |row| row.get::<_, i64>(0),
            );
            match (mine.optional()?, value) {
                (None, _) => Ok(Some(why_lost(tx, lease)?)),
                (Some(_), None) => Ok(None),
                (Some(created), Some(value)) => {
                    record(tx, meta, path, PUT, value, Some(created), lease.id())?;
                    Ok(None)
                }
            }
        })?;
        match lost {
            None => Ok(()),
            Some(kind) => {
                let what = match kind {
                    ErrorKind::Evicted => "the entry was removed",
                    ErrorKind::Conflict => "somebody else holds the name now",
                    _ => "its time to live ran out",
                };
                Err(Error::new(kind, format!("{path}: {what}")))
            }
        }
    }

    pub(crate) fn deregister(&mut self, lease: &Lease) -> Result<()> {
        let due = self.due()?;
        self.write(|tx, meta| {
            evict(tx, meta, &due)?;
            take(tx, meta, lease.key().as_str(), Some(lease.id())).map(drop)
        })
    }

    pub(crate) fn remove(&mut self, key: &Key) -> Result<bool> {
        let due = self.due()?;
        self.write(|tx, meta| {
            evict(tx, meta, &due)?;
            take(tx, meta, key.as_str(), None)
        })
    }

    pub(crate) fn list(&mut self, scope: &Scope) -> Result<Snapshot> {
        let (from, to) = wire::range(scope);
        // A write transaction, so that what has expired is gone from the list and from the world alike.
        self.expiring(|tx| {
            let meta = meta(tx)?;
            let mut statement = tx.prepare_cached(
                "SELECT path, value, created FROM entries WHERE path >= ?1 AND path < ?2 ORDER BY path",
            )?;
            let rows = statement.query_map([&from, &to], |row| wire::entry(scope, meta.epoch, row))?;
            let entries = rows.filter_map(Result::transpose).collect::<rusqlite::Result<_>>()?;
            Ok(Snapshot { entries, index: Index::new(meta.epoch, wire::position(meta.position)) })
        })
    }

    /// What changed in the scope after an index; no changes when nothing did.
    ///
    /// # Errors
    /// `Compacted` when the history does not reach back so far, or is another one.
    pub(crate) fn changes(&mut self, scope: &Scope, after: Index) -> Result<Batch> {
        let (from, to) = wire::range(scope);
        let found = self.expiring(|tx| {
            let meta = meta(tx)?;
            let head = Index::new(meta.epoch, wire::position(meta.position));
            let forgotten = after.position() < wire::position(meta.compacted);
            if forgotten || after.position() > head.position() || !after.same_epoch(head) {
                return Ok(None);
            }
            let mut statement = tx.prepare_cached(
                "SELECT path, value, created, kind, position FROM history
                 WHERE position > ?1 AND position <= ?5 AND path >= ?2 AND path < ?3 ORDER BY position LIMIT ?4",
            )?;
            let mut rows =
                statement.query(params![after.position().cast_signed(), &from, &to, BATCH, meta.position])?;
            let (mut batch, mut count) = (Batch { changes: Vec::new(), index: head }, 0);
            while let Some(row) = rows.next()? {
                wire::change(scope, &mut batch, row)?;
                count += 1;
            }
            if count < BATCH {
                batch.index = head;
            }
            Ok(Some(batch))
        })?;
        found.ok_or_else(|| {
            let message = format!("{scope}: the history after {after} is not there any more");
            Error::new(ErrorKind::Compacted, message)
        })
    }

    /// Forgets the history up to now.
    pub(crate) fn compact(&mut self) -> Result<()> {
        self.write(|tx, meta| forget(tx, meta.position))
    }

    /// Removes what has expired, and says where the history stands and in how many milliseconds the next entry may.
    pub(crate) fn look(&mut self) -> Result<(Index, Option<i64>)> {
        let head = self.expiring(|tx| {
            let meta = meta(tx)?;
            Ok(Index::new(meta.epoch, wire::position(meta.position)))
        })?;
        let now = self.clock.now();
        if self.reading.is_some() {
            return Ok((head, None));
        }
        let next =
            next_deadline(&self.connection, &self.clock, now).map_err(|error| from_sqlite(&self.path, &error))?;
        let next =
            next.map(|at| at.saturating_sub(now)).into_iter().chain(self.in_doubt).chain(self.witness.next_other(now));
        Ok((head, next.min()))
    }

    /// Removes what has expired. How long to wait before asking again: entries are overdue on this clock, and this process has
    /// not seen yet that their owners are not about to renew them, for it has just begun, or the clock has jumped.
    pub(crate) fn settle(&mut self) -> Result<Option<Duration>> {
        self.evict()?;
        Ok(self.in_doubt.map(|left| Duration::from_millis(left.unsigned_abs())))
    }

    /// What may be removed, on the evidence that there is.
    fn due(&mut self) -> Result<Vec<Due>> {
        let now = self.clock.now();
        self.witness.look(now);
        let asks = self.witness.asks_for_others(now);
        let read = || -> rusqlite::Result<_> {
            let others = if asks { Some(foreign(&self.connection, &self.clock, now)?) } else { None };
            Ok((overdue(&self.connection, &self.clock, now)?, others))
        };
        let (mut due, others) = read().map_err(|error| from_sqlite(&self.path, &error))?;
        self.in_doubt = if due.is_empty() { None } else { self.witness.doubt(now) };
        if self.in_doubt.is_some() {
            due.clear();
        }
        due.extend(others.map(|others| self.witness.others(others, now)).unwrap_or_default());
        Ok(due)
    }

    /// Reads, after what has expired was removed; takes the writer's place only when there is something to remove.
    fn expiring<T>(&mut self, read: impl Fn(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        self.evict()?;
        for _ in 0..CHANGED {
            self.rested()?;
            let done = self.transaction(TransactionBehavior::Deferred, &read)?;
            // At rest nobody keeps a writer from changing what is being read.
            match self.reading.as_ref().and_then(|reading| reading.at_rest) {
                Some(stamp) if file::stamp(&self.path) != Some(stamp) => {}
                _ => return Ok(done),
            }
        }
        let message = format!("the store {} is changed again and again while it is read", self.path.display());
        Err(Error::new(ErrorKind::Unavailable, message))
    }

    fn evict(&mut self) -> Result<()> {
        if self.reading.is_some() {
            return self.look_for_the_dead();
        }
        let due = self.due()?;
        if due.is_empty() { Ok(()) } else { self.write(|tx, meta| evict(tx, meta, &due)) }
    }

    /// Who only reads removes nobody. That nobody else does is worth a word.
    fn look_for_the_dead(&mut self) -> Result<()> {
        let since = self.clock.now().saturating_sub(clock::span(Capabilities::full().ttl_slack));
        self.rested()?;
        // The version before knows no clocks.
        if overdue(&self.connection, &self.clock, since).is_ok_and(|overdue| !overdue.is_empty()) {
            self.warn("members have expired, and no process that may write it removes them");
        }
        Ok(())
    }

    /// Sees to it that the store is read as it has to be now. Together with those who write it, there are files beside it that they share;
    /// else nobody writes, and a change of the file is a reason to open it anew.
    fn rested(&mut self) -> Result<()> {
        let Some(reading) = &self.reading else { return Ok(()) };
        let now = if is_written(&self.path) { None } else { file::stamp(&self.path) };
        if now != reading.at_rest {
            self.connection = connect_to_read(&self.path, now.is_some())?;
            if let Some(reading) = &mut self.reading {
                reading.at_rest = now;
            }
        }
        Ok(())
    }

    /// Changes the store. When that was news, the file system tells of it afterwards: what is written before the commit can
    /// be noticed while there is nothing to be seen yet.
    fn write<T>(&mut self, change: impl FnOnce(&Connection, &mut Meta) -> rusqlite::Result<T>) -> Result<T> {
        if self.reading.is_some() {
            return Err(read_only(&self.path));
        }
        let history = i64::try_from(self.history).unwrap_or(i64::MAX);
        let (result, news) = self.transaction(TransactionBehavior::Immediate, |tx| {
            let mut meta = meta(tx)?;
            let before = meta.position;
            let result = change(tx, &mut meta)?;
            if meta.position.saturating_sub(meta.compacted) > history.saturating_mul(2) {
                forget(tx, meta.position.saturating_sub(history))?;
            }
            Ok((result, meta.position != before))
        })?;
        match &mut self.together {
            Some(together) => together.news |= news,
            None if news => file::touch(&self.path),
            None => {}
        }
        Ok(result)
    }

    /// Begins to write together: what each method writes from now on is certain, and seen by others, when all of it is.
    /// Most of what a change costs, it costs once for all that go together.
    pub(crate) fn begin_together(&mut self) -> Result<()> {
        if self.reading.is_some() {
            return Err(read_only(&self.path));
        }
        self.execute("BEGIN IMMEDIATE")?;
        self.together = Some(Together::default());
        Ok(())
    }

    /// False when a failure has undone what was written together so far: nothing more must be added to it.
    pub(crate) fn is_together(&self) -> bool {
        !self.connection.is_autocommit()
    }

    /// Ends it. On an error nothing of it was written.
    pub(crate) fn end_together(&mut self) -> Result<()> {
        let Together { news, undone } = self.together.take().unwrap_or_default();
        if let Some(error) = undone {
            return Err(error);
        }
        let ended = self.execute("COMMIT");
        if ended.is_ok() && news {
            file::touch(&self.path);
        }
        if ended.is_err() && self.is_together() {
            // If this fails as well, the store is opened anew.
            let _ = self.execute("ROLLBACK");
        }
        ended
    }

    fn execute(&self, sql: &str) -> Result<()> {
        self.connection.execute_batch(sql).map_err(|error| from_sqlite(&self.path, &error))
    }

    fn transaction<T>(
        &mut self,
        behavior: TransactionBehavior,
        run: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let together = self.together.is_some();
        let attempt = || {
            if together {
                let part = self.connection.savepoint()?;
                let result = run(&part)?;
                part.commit()?;
                return Ok(result);
            }
            let tx = self.connection.transaction_with_behavior(behavior)?;
            let result = run(&tx)?;
            tx.commit()?;
            Ok(result)
        };
        let result = attempt().map_err(|error| from_sqlite(&self.path, &error));
        if let (Err(error), Some(together)) = (&result, &mut self.together)
            && self.connection.is_autocommit()
        {
            together.undone.get_or_insert_with(|| error.clone());
        }
        result
    }
}

/// Whether processes have the store open to write, or one of them was killed: then there are files beside it.
fn is_written(path: &Path) -> bool {
    ["-wal", "-shm"].iter().all(|ending| file::beside(path, ending).exists())
}

/// Writes nothing: neither files beside the store, nor what those who write it share there.
fn connect_to_read(path: &Path, at_rest: bool) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = |error| from_sqlite(path, &error);
    let how = if at_rest { "immutable=1" } else { "readonly_shm=1" };
    let connection = Connection::open_with_flags(uri(path, how), flags).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    adopt::check_made(&connection, path)?;
    Ok(connection)
}

/// The path in the form that takes parameters; bytes that mean something in it are escaped.
fn uri(path: &Path, parameters: &str) -> PathBuf {
    let mut uri = b"file:".to_vec();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'%' => uri.extend(b"%25"),
            b'?' => uri.extend(b"%3f"),
            b'#' => uri.extend(b"%23"),
            _ => uri.push(*byte),
        }
    }
    uri.push(b'?');
    uri.extend(parameters.as_bytes());
    OsString::from_vec(uri).into()
}

/// Tries again while others are in the way. `SQLite` waits for them by itself, but not where both could wait for each other
/// for ever: two processes that open a new store at once both read it and then want to change its mode.
fn patiently<T>(mut attempt: impl FnMut() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    let begun = Instant::now();
    loop {
        match attempt() {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && begun.elapsed() < BUSY => {
                thread::sleep(Duration::from_millis(5));
            }
            done => return done,
        }
    }
}

/// Sixteen bytes that nobody else has drawn.
fn unique() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Error::new(ErrorKind::Unavailable, "the system has no random numbers").because(error))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use registry_core::Dir;

    use super::*;

    fn register(store: &mut Store, name: &str, size: usize) -> Result<Lease> {
        let (key, ttl) = (Dir::new("/a").unwrap().key(name).unwrap(), Duration::from_hours(1));
        store.register(&key, &Bytes::from(vec![b'.'; size]), &RegisterOptions::new(), ttl)
    }

    fn names(store: &mut Store) -> Vec<String> {
        let all = store.list(&Dir::new("/a").unwrap().into()).unwrap();
        all.entries.iter().map(|entry| entry.name.to_string()).collect()
    }

    fn store(place: &tempfile::TempDir) -> Store {
        Store::open(&Config::new(place.path().join("registry.db"))).unwrap()
    }

    /// Whether a failure undoes all that was written together or only its own part is `SQLite`'s choice. What is told is what is
    /// there.
    #[test]
    fn what_does_not_fit_is_told_and_not_there() {
        let place = tempfile::tempdir().unwrap();
        let mut store = store(&place);
        let pages: i64 = store.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        let limit = |store: &Store, pages: i64| {
            store.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
        };
        limit(&store, pages + 20);
        store.begin_together().unwrap();
        let mut told = Vec::new();
        let failed = (0..1000).find_map(|number| {
            let name = format!("m{number:03}");
            match register(&mut store, &name, 10_000) {
                Ok(_) => told.push(name),
                Err(error) => return Some(error),
            }
            None
        });
        assert!(failed.is_some_and(|error| error.kind() == ErrorKind::Unavailable) && !told.is_empty());
        if store.end_together().is_err() {
            told.clear();
        }
        assert_eq!(names(&mut store), told);
        // It goes on.
        limit(&store, 1_000_000);
        register(&mut store, "z", 1).unwrap();
        assert_eq!(names(&mut store).len(), told.len() + 1);
    }

    #[test]
    fn what_cannot_be_ended_was_never_there() {
        let place = tempfile::tempdir().unwrap();
        let mut store = store(&place);
        store.begin_together().unwrap();
        register(&mut store, "a", 1).unwrap();
        // As a failure of the disk may do it.
        store.execute("ROLLBACK").unwrap();
        assert!(!store.is_together());
        assert!(store.end_together().is_err());
        assert_eq!(names(&mut store), [""; 0]);
        register(&mut store, "b", 1).unwrap();
        assert_eq!(names(&mut store), ["b"]);
    }
}
