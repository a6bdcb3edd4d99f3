//! The tables, and rows as entries and changes.

use registry_core::{Batch, Bytes, Change, Entry, Index, Name, Removed, Scope};
use rusqlite::Row;

/// The layout of the store. `history` is the order of the world: every change has a position of its own.
pub(crate) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS meta (
        only      INTEGER PRIMARY KEY CHECK (only = 1),
        layout    INTEGER NOT NULL,
        epoch     INTEGER NOT NULL,
        boot      TEXT    NOT NULL,
        position  INTEGER NOT NULL,
        compacted INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS entries (
        path    TEXT    PRIMARY KEY,
        value   BLOB    NOT NULL,
        created INTEGER NOT NULL,
        owner   TEXT    NOT NULL,
        expires INTEGER NOT NULL,
        clock   INTEGER,
        ttl     INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS history (
        position INTEGER PRIMARY KEY,
        path     TEXT    NOT NULL,
        kind     INTEGER NOT NULL,
        value    BLOB    NOT NULL,
        created  INTEGER NOT NULL,
        owner    TEXT    NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS history_path ON history (path, position);
";

/// What the version before did not have: on which clock an entry expires, and for how long it lives. Both are empty in what that
/// version writes beside us. It knows the index by its name alone.
pub(crate) const WITHOUT_CLOCKS: &str =
    "SELECT NOT EXISTS (SELECT 1 FROM pragma_table_info('entries') WHERE name = 'clock')";
pub(crate) const ADD_CLOCKS: &str = "
    ALTER TABLE entries ADD COLUMN clock INTEGER;
    ALTER TABLE entries ADD COLUMN ttl INTEGER;
    DROP INDEX IF EXISTS entries_expires;
";
pub(crate) const INDEX_CLOCKS: &str = "CREATE INDEX IF NOT EXISTS entries_expires ON entries (clock, expires)";

/// The layout that this program reads and writes.
pub(crate) const LAYOUT: i64 = 1;

/// What happened, as a number in `history.kind`.
pub(crate) const PUT: i64 = 0;
pub(crate) const DELETED: i64 = 1;
pub(crate) const EXPIRED: i64 = 2;

/// The half-open range of paths in a scope; `0` is the character after `/`.
pub(crate) fn range(scope: &Scope) -> (String, String) {
    match scope {
        Scope::Directory(dir) => (format!("{dir}/"), format!("{dir}0")),
        Scope::Entry(key) => (key.as_str().to_owned(), format!("{key}\0")),
    }
}

/// The name in the first column. One that this version cannot read, of a later version perhaps, is reported and skipped with
/// its row; so is what is no text: `SQLite` does not ask.
fn name(scope: &Scope, row: &Row<'_>) -> rusqlite::Result<Option<Name>> {
    let Some(path) = text(row, 0)? else { return Ok(skipped(scope, "its path is no text")) };
    Ok(scope.name_of(&path).unwrap_or_else(|error| skipped(scope, &error.to_string())))
}

fn skipped<T>(scope: &Scope, why: &str) -> Option<T> {
    tracing::warn!(%scope, "an entry that cannot be read is skipped: {why}");
    None
}

/// A column that should be text; `None`: it is something else.
pub(crate) fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    Ok(row.get_ref(column)?.as_str().ok().map(str::to_owned))
}

/// A column that should be a number; `None`: it is something else.
pub(crate) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<i64>> {
    Ok(row.get_ref(column)?.as_i64().ok())
}

/// `path, value, created` as an entry.
pub(crate) fn entry(scope: &Scope, epoch: u64, row: &Row<'_>) -> rusqlite::Result<Option<Entry>> {
    let Some(name) = name(scope, row)? else { return Ok(None) };
    let (Ok(value), Some(created)) = (row.get_ref(1)?.as_blob(), number(row, 2)?) else {
        return Ok(skipped(scope, "its value or its creation is of another type"));
    };
    let value = Bytes::copy_from_slice(value);
    Ok(Some(Entry { name, value, index: Index::new(epoch, position(created)) }))
}

/// `path, value, created, kind, position` as a change that is added to a batch.
pub(crate) fn change(scope: &Scope, batch: &mut Batch, row: &Row<'_>) -> rusqlite::Result<()> {
    let epoch = batch.index.epoch();
    let reason = match number(row, 3)? {
        Some(PUT) => None,
        Some(EXPIRED) => Some(Removed::Expired),
        _ => Some(Removed::Deleted),
    };
    let change = match reason {
        None => entry(scope, epoch, row)?.map(Change::Put),
        Some(reason) => name(scope, row)?.map(|name| Change::Remove { name, reason }),
    };
    batch.changes.extend(change);
    batch.index = Index::new(epoch, position(row.get(4)?));
    Ok(())
}

/// `SQLite` has signed numbers only; positions are never negative.
pub(crate) fn position(number: i64) -> u64 {
    number.cast_unsigned()
}
