//! What is asked of the tables, inside of a transaction.

use registry_core::{ErrorKind, Lease};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use crate::clock;
use crate::wire::{self, DELETED, EXPIRED};

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

/// Removes what has expired, in the order in which it did.
pub(crate) fn expire(tx: &Connection, meta: &mut Meta) -> rusqlite::Result<()> {
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
