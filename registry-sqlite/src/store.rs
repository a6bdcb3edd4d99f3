//! The store itself: every method is one transaction.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use registry_core::{
    Batch, Bytes, Condition, Error, ErrorKind, Index, Key, Lease, RegisterOptions, Result, Scope, Snapshot,
};
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Params, Row, Transaction, TransactionBehavior, params,
};

use crate::adopt;
use crate::clock;
use crate::config::Config;
use crate::error::from_sqlite;
use crate::file::{self, Identity};
use crate::wire::{self, DELETED, EXPIRED, PUT};

/// How long a write waits for the writers of other processes.
const BUSY: Duration = Duration::from_secs(3);
/// How many changes are read at once.
const BATCH: u32 = 1000;
/// How many prepared statements are kept: all that there are.
const STATEMENTS: usize = 32;
/// Whether anybody has the name.
const HELD: &str = "SELECT 1 FROM entries WHERE path = ?1";

/// An open store.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    history: u64,
    identity: Identity,
    connection: Connection,
}

/// Where the history stands.
struct Meta {
    epoch: u64,
    position: i64,
    compacted: i64,
}

impl Store {
    pub(crate) fn open(config: &Config) -> Result<Self> {
        let identity = file::prepare(&config.path)?;
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
        let mut store = Self { path: config.path.clone(), history: config.history, identity, connection };
        let epoch = u64::from_ne_bytes(unique()?[..8].try_into().unwrap_or_default());
        // Positive, so that SQLite and the index agree on it, and never 0, which means unknown.
        let epoch = i64::try_from(epoch >> 1).unwrap_or(1).max(1);
        // No news: whoever watches hears of a new file from the file system.
        store.transaction(TransactionBehavior::Immediate, |tx| adopt::begin(tx, epoch))?;
        Ok(store)
    }

    /// False when the file at the path is another one by now: somebody removed the store while it was open.
    pub(crate) fn is_current(&self) -> bool {
        file::identity(&self.path) == Some(self.identity)
    }

    pub(crate) fn register(
        &mut self,
        key: &Key,
        value: &Bytes,
        options: &RegisterOptions,
        ttl: Duration,
    ) -> Result<Lease> {
        let owner = format!("{:032x}", u128::from_ne_bytes(unique()?));
        let granted = self.write(|tx, meta| {
            expire(tx, meta)?;
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
            tx.prepare_cached(
                "INSERT OR REPLACE INTO entries (path, value, created, owner, expires) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                key.as_str(),
                &value[..],
                position,
                owner,
                clock::now() + clock::span(ttl)
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
        let lost = self.write(|tx, meta| {
            expire(tx, meta)?;
            let expires = clock::now() + clock::span(lease.ttl());
            let mine = one(
                tx,
                "UPDATE entries SET expires = ?3, value = coalesce(?4, value) WHERE path = ?1 AND owner = ?2 RETURNING created",
                params![path, lease.id(), expires, value.map(|value| &value[..])],
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
        self.write(|tx, meta| {
            expire(tx, meta)?;
            take(tx, meta, lease.key().as_str(), Some(lease.id())).map(drop)
        })
    }

    pub(crate) fn remove(&mut self, key: &Key) -> Result<bool> {
        self.write(|tx, meta| {
            expire(tx, meta)?;
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
            let rows = statement.query_map([from, to], |row| wire::entry(scope, meta.epoch, row))?;
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
            let mut rows = statement.query(params![after.position().cast_signed(), from, to, BATCH, meta.position])?;
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

    /// Removes what has expired, and says where the history stands and in how many milliseconds the next entry expires.
    pub(crate) fn look(&mut self) -> Result<(Index, Option<i64>)> {
        self.expiring(|tx| {
            let next: Option<i64> = one(tx, "SELECT min(expires) FROM entries", [], |row| row.get(0))?;
            let meta = meta(tx)?;
            let head = Index::new(meta.epoch, wire::position(meta.position));
            Ok((head, next.map(|at| at.saturating_sub(clock::now()))))
        })
    }

    /// Reads, after what has expired was removed; takes the writer's place only when there is something to remove.
    fn expiring<T>(&mut self, read: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T> {
        let due = "SELECT EXISTS (SELECT 1 FROM entries WHERE expires <= ?1)";
        let due = one(&self.connection, due, [clock::now()], |row| row.get(0));
        if due.map_err(|error| from_sqlite(&self.path, &error))? {
            self.write(expire)?;
        }
        self.transaction(TransactionBehavior::Deferred, read)
    }

    /// Changes the store. When that was news, the file system tells of it afterwards: what is written before the commit can
    /// be noticed while there is nothing to be seen yet.
    fn write<T>(&mut self, change: impl FnOnce(&Transaction<'_>, &mut Meta) -> rusqlite::Result<T>) -> Result<T> {
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
        if news {
            file::touch(&self.path);
        }
        Ok(result)
    }

    fn transaction<T>(
        &mut self,
        behavior: TransactionBehavior,
        run: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let attempt = || {
            let tx = self.connection.transaction_with_behavior(behavior)?;
            let result = run(&tx)?;
            tx.commit()?;
            Ok(result)
        };
        attempt().map_err(|error| from_sqlite(&self.path, &error))
    }
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

/// The first row that a statement gives. The statement is kept: most of what a short one costs is its preparation.
fn one<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    connection.prepare_cached(sql)?.query_row(params, read)
}

fn meta(tx: &Transaction<'_>) -> rusqlite::Result<Meta> {
    one(tx, "SELECT epoch, position, compacted FROM meta", [], |row| {
        Ok(Meta { epoch: wire::position(row.get(0)?), position: row.get(1)?, compacted: row.get(2)? })
    })
}

/// Adds a change to the history and returns its position. A new entry is created by its own change.
fn record(
    tx: &Transaction<'_>,
    meta: &mut Meta,
    path: &str,
    kind: i64,
    value: &[u8],
    created: Option<i64>,
    owner: &str,
) -> rusqlite::Result<i64> {
    // Nobody else writes meanwhile.
    let position = meta.position.saturating_add(1);
    tx.prepare_cached("UPDATE meta SET position = ?1")?.execute([position])?;
    meta.position = position;
    tx.prepare_cached(
        "INSERT OR REPLACE INTO history (position, path, kind, value, created, owner) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![position, path, kind, value, created.unwrap_or(position), owner])?;
    Ok(position)
}

/// Removes an entry, if it belongs to the owner.
fn take(tx: &Transaction<'_>, meta: &mut Meta, path: &str, owner: Option<&str>) -> rusqlite::Result<bool> {
    let sql = "DELETE FROM entries WHERE path = ?1 AND owner = coalesce(?2, owner) RETURNING owner";
    let taken = one(tx, sql, params![path, owner], |row| wire::text(row, 0)).optional()?;
    if let Some(owner) = &taken {
        record(tx, meta, path, DELETED, &[], None, owner.as_deref().unwrap_or_default())?;
    }
    Ok(taken.is_some())
}

/// Removes what has expired, in the order in which it did.
fn expire(tx: &Transaction<'_>, meta: &mut Meta) -> rusqlite::Result<()> {
    let now = clock::now();
    let mut statement =
        tx.prepare_cached("SELECT path, owner FROM entries WHERE expires <= ?1 ORDER BY expires, path")?;
    let due = statement.query_map([now], |row| Ok((wire::text(row, 0)?, wire::text(row, 1)?)))?;
    let due = due.collect::<rusqlite::Result<Vec<_>>>()?;
    if due.is_empty() {
        return Ok(());
    }
    for (path, owner) in due {
        // What has no path was never shown to anybody.
        if let Some(path) = path {
            record(tx, meta, &path, EXPIRED, &[], None, owner.as_deref().unwrap_or_default())?;
        }
    }
    tx.prepare_cached("DELETE FROM entries WHERE expires <= ?1")?.execute([now])?;
    Ok(())
}

/// Why an entry is not this lease's any more.
fn why_lost(tx: &Transaction<'_>, lease: &Lease) -> rusqlite::Result<ErrorKind> {
    let path = lease.key().as_str();
    let held = one(tx, HELD, [path], |_| Ok(())).optional()?;
    if held.is_some() {
        return Ok(ErrorKind::Conflict);
    }
    let last = "SELECT kind, owner FROM history WHERE path = ?1 ORDER BY position DESC LIMIT 1";
    let last = one(tx, last, [path], |row| Ok((wire::number(row, 0)?, wire::text(row, 1)?))).optional()?;
    // Only the removal of *this* ownership is an eviction; a successor that came and went is none.
    Ok(if last.is_some_and(|(kind, owner)| kind == Some(DELETED) && owner.as_deref() == Some(lease.id())) {
        ErrorKind::Evicted
    } else {
        ErrorKind::LeaseLost
    })
}

fn forget(tx: &Transaction<'_>, up_to: i64) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM history WHERE position <= ?1", [up_to])?;
    tx.execute("UPDATE meta SET compacted = max(compacted, ?1)", [up_to])?;
    Ok(())
}

/// Sixteen bytes that nobody else has drawn.
fn unique() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Error::new(ErrorKind::Unavailable, "the system has no random numbers").because(error))?;
    Ok(bytes)
}
