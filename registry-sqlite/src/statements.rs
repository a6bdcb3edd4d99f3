//! What is asked of the tables, inside of a transaction.

use registry_core::{Capabilities, ErrorKind, Lease};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use crate::clock::{self, Clock};
use crate::wire::{self, DELETED, EXPIRED};
use crate::witness::{Due, Foreign};

/// Whether anybody has the name.
pub(crate) const HELD: &str = "SELECT 1 FROM entries WHERE path = ?1";

/// Where the history stands.
pub(crate) struct Meta {
    pub(crate) epoch: u64,
    pub(crate) position: i64,
    pub(crate) compacted: i64,
}

/// The first row that a statement gives. The statement is kept: most of what a short one costs is its preparation.
pub(crate) fn one<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    connection.prepare_cached(sql)?.query_row(params, read)
}

pub(crate) fn meta(tx: &Connection) -> rusqlite::Result<Meta> {
    one(tx, "SELECT epoch, position, compacted FROM meta", [], |row| {
        Ok(Meta { epoch: wire::position(row.get(0)?), position: row.get(1)?, compacted: row.get(2)? })
    })
}

/// Adds a change to the history and returns its position. A new entry is created by its own change.
pub(crate) fn record(
    tx: &Connection,
    meta: &mut Meta,
    path: &str,
    kind: i64,
    value: &[u8],
    created: Option<i64>,
    owner: &str,
) -> rusqlite::Result<i64> {
    // Nobody else writes meanwhile.
    let position = meta.position.checked_add(1).ok_or(rusqlite::Error::IntegralValueOutOfRange(0, meta.position))?;
    tx.prepare_cached("UPDATE meta SET position = ?1")?.execute([position])?;
    meta.position = position;
    tx.prepare_cached(
        "INSERT OR REPLACE INTO history (position, path, kind, value, created, owner) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![position, path, kind, value, created.unwrap_or(position), owner])?;
    Ok(position)
}

/// Removes an entry, if it belongs to the owner.
pub(crate) fn take(tx: &Connection, meta: &mut Meta, path: &str, owner: Option<&str>) -> rusqlite::Result<bool> {
    let sql = "DELETE FROM entries WHERE path = ?1 AND owner = coalesce(?2, owner) RETURNING owner";
    let taken = one(tx, sql, params![path, owner], |row| wire::text(row, 0)).optional()?;
    if let Some(owner) = &taken {
        record(tx, meta, path, DELETED, &[], None, owner.as_deref().unwrap_or_default())?;
    }
    Ok(taken.is_some())
}

/// What is overdue on the own clock, in the order in which it expired. What the version before has written is on the clock of the
/// boot that it notes.
pub(crate) fn overdue(connection: &Connection, clock: &Clock, now: i64) -> rusqlite::Result<Vec<Due>> {
    let mut statement = connection.prepare_cached(
        "SELECT path, owner, expires FROM entries WHERE clock = ?1 AND expires <= ?2
         UNION ALL
         SELECT path, owner, expires FROM entries
         WHERE clock IS NULL AND expires <= ?2 AND ?3 = (SELECT boot FROM meta)
         ORDER BY expires, path",
    )?;
    let rows = statement.query_map(params![clock.id(), now, clock.boot()], due)?;
    rows.filter_map(Result::transpose).collect()
}

/// The entries of other clocks. A deadline further away than any can be was not set on this clock either, whatever its name.
pub(crate) fn foreign(connection: &Connection, clock: &Clock, now: i64) -> rusqlite::Result<Vec<Foreign>> {
    let farthest = now.saturating_add(clock::span(Capabilities::full().ttl_max)).saturating_add(1);
    let mut statement = connection.prepare_cached(
        "SELECT path, owner, expires, ttl FROM entries WHERE clock < ?1
         UNION ALL
         SELECT path, owner, expires, ttl FROM entries WHERE clock > ?1
         UNION ALL
         SELECT path, owner, expires, ttl FROM entries WHERE clock = ?1 AND expires > ?2
         UNION ALL
         SELECT path, owner, expires, ttl FROM entries WHERE clock IS NULL AND ?3 IS NOT (SELECT boot FROM meta)",
    )?;
    let rows = statement.query_map(params![clock.id(), farthest, clock.boot()], |row| {
        let ttl = wire::number(row, 3)?;
        Ok(due(row)?.map(|entry| Foreign { entry, ttl }))
    })?;
    rows.filter_map(Result::transpose).collect()
}

/// `path, owner, expires`. What has no path was never shown to anybody.
fn due(row: &Row<'_>) -> rusqlite::Result<Option<Due>> {
    let (path, owner, expires) = (wire::text(row, 0)?, wire::text(row, 1)?, wire::number(row, 2)?);
    Ok(path.zip(expires).map(|(path, expires)| Due { path, owner, expires }))
}

/// The next deadline on the own clock.
pub(crate) fn next_deadline(connection: &Connection, clock: &Clock, now: i64) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT min(next) FROM (
                 SELECT min(expires) AS next FROM entries WHERE clock = ?1 AND expires > ?2
                 UNION ALL SELECT min(expires) FROM entries WHERE clock IS NULL AND expires > ?2)";
    one(connection, sql, [clock.id(), now], |row| wire::number(row, 0))
}

/// Removes what is due and has not changed since that was found out.
pub(crate) fn evict(tx: &Connection, meta: &mut Meta, due: &[Due]) -> rusqlite::Result<()> {
    let sql = "DELETE FROM entries WHERE path = ?1 AND owner = coalesce(?2, owner) AND expires = ?3 RETURNING 1";
    for Due { path, owner, expires } in due {
        if one(tx, sql, params![path, owner, expires], |_| Ok(())).optional()?.is_some() {
            record(tx, meta, path, EXPIRED, &[], None, owner.as_deref().unwrap_or_default())?;
        }
    }
    Ok(())
}

/// Why an entry is not this lease's any more.
pub(crate) fn why_lost(tx: &Connection, lease: &Lease) -> rusqlite::Result<ErrorKind> {
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

pub(crate) fn forget(tx: &Connection, up_to: i64) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM history WHERE position <= ?1", [up_to])?;
    tx.execute("UPDATE meta SET compacted = max(compacted, ?1)", [up_to])?;
    Ok(())
}
