//! Whether a file is a store of ours, and how an empty one becomes one.

use std::path::Path;

use registry_core::{Error, ErrorKind, Result};
use rusqlite::{Connection, OptionalExtension, params};

use crate::clock::Clock;
use crate::error::from_sqlite;
use crate::wire::{ADD_CLOCKS, INDEX_CLOCKS, LAYOUT, SCHEMA, WITHOUT_CLOCKS};

/// Tells our files from the databases of other programs; any number will do that nobody else uses.
const APPLICATION: i32 = 0x4363_5267;

/// Refuses the database of another program, and the store of a later version. Writes nothing.
pub(crate) fn check(connection: &Connection, path: &Path) -> Result<()> {
    // In this order: another process may be making the store right now, in one transaction.
    let is_empty = "SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)";
    let found = connection.query_row(is_empty, [], |row| row.get(0)).and_then(|is_empty: bool| {
        let ours =
            connection.pragma_query_value(None, "application_id", |row| row.get(0)).map(|id: i32| id == APPLICATION)?;
        let layout =
            if ours { connection.query_row("SELECT layout FROM meta", [], |row| row.get(0)).optional()? } else { None };
        Ok((is_empty || ours, layout.unwrap_or(LAYOUT)))
    });
    match found.map_err(|error| from_sqlite(path, &error))? {
        (false, _) => Err(refused(path, "is the database of another program; name another file")),
        (true, LAYOUT) => Ok(()),
        (true, _) => Err(refused(
            path,
            "was made by another version of this program, which lays it out differently; stop that one first, then remove the file",
        )),
    }
}

/// The same, and refuses a file in which there is no store yet.
pub(crate) fn check_made(connection: &Connection, path: &Path) -> Result<()> {
    check(connection, path)?;
    let is_empty = connection.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0));
    if is_empty.map_err(|error| from_sqlite(path, &error))? {
        let message = format!("{}: the store is not made yet", path.display());
        return Err(Error::new(ErrorKind::Unavailable, message));
    }
    Ok(())
}

fn refused(path: &Path, why: &str) -> Error {
    Error::config(format!("{} {why}", path.display()))
}

/// Makes the store, or brings one of the version before up to date. Who opens a store evicts nobody.
pub(crate) fn begin(tx: &Connection, epoch: i64, clock: &Clock) -> rusqlite::Result<()> {
    tx.execute_batch(SCHEMA)?;
    if tx.query_row(WITHOUT_CLOCKS, [], |row| row.get(0))? {
        tx.execute_batch(ADD_CLOCKS)?;
    }
    tx.execute_batch(INDEX_CLOCKS)?;
    // The boot is for the version before alone, which takes its own entries for expired when it is not its own.
    let made = tx.execute(
        "INSERT OR IGNORE INTO meta (only, layout, epoch, boot, position, compacted) VALUES (1, ?1, ?2, ?3, 1, 1)",
        params![LAYOUT, epoch, clock.boot().unwrap_or("unknown")],
    )?;
    // Not each time: who only opens a store leaves it as it is.
    if made > 0 {
        tx.pragma_update(None, "application_id", APPLICATION)?;
    }
    Ok(())
}
