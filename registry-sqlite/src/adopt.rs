//! Whether a file is a store of ours, and how an empty one becomes one.

use std::path::Path;

use registry_core::{Error, Result};
use rusqlite::{Connection, OptionalExtension, params};

use crate::clock;
use crate::error::from_sqlite;
use crate::wire::{LAYOUT, SCHEMA};

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

fn refused(path: &Path, why: &str) -> Error {
    Error::config(format!("{} {why}", path.display()))
}

/// Makes the store, or takes over what there is.
pub(crate) fn begin(tx: &Connection, epoch: i64) -> rusqlite::Result<()> {
    tx.execute_batch(SCHEMA)?;
    let boot = clock::boot();
    let made = tx.execute(
        "INSERT OR IGNORE INTO meta (only, layout, epoch, boot, position, compacted) VALUES (1, ?1, ?2, ?3, 1, 1)",
        params![LAYOUT, epoch, boot],
    )?;
    // Not each time: who only opens a store leaves it as it is.
    if made > 0 {
        tx.pragma_update(None, "application_id", APPLICATION)?;
    }
    if tx.execute("UPDATE meta SET boot = ?1 WHERE boot <> ?1", [boot])? > 0 {
        // The clock has started again, and nobody who made an entry lives any more.
        tx.execute("UPDATE entries SET expires = ?1", [i64::MIN])?;
    }
    Ok(())
}
