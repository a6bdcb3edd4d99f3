//! The embedded store: its own table, read as any program could.

use std::time::Duration;

use rusqlite::{Connection, OpenFlags, params};
use tokio::time::sleep;

use crate::history::{Recorder, What};

/// Ends when a change was missed, which is seen by the marks that are not found.
pub(super) async fn follow(path: String, recorder: Recorder) {
    let mut last = 0;
    let mut connection = None;
    while last >= 0 {
        if connection.is_none() {
            connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).ok();
        }
        if let Some(open) = &connection
            && read(open, &mut last, &recorder).is_err()
        {
            connection = None;
        }
        sleep(Duration::from_millis(10)).await;
    }
}

fn read(connection: &Connection, last: &mut i64, recorder: &Recorder) -> rusqlite::Result<()> {
    let sql =
        "SELECT position, path, kind, value, created FROM history WHERE position > ?1 ORDER BY position LIMIT 500";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![*last])?;
    while let Some(row) = rows.next()? {
        let (at, key, kind): (i64, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (value, created): (Vec<u8>, i64) = (row.get(3)?, row.get(4)?);
        // Every position is a change.
        if *last > 0 && at != *last + 1 {
            *last = -1;
            return Ok(());
        }
        let position = at.unsigned_abs();
        recorder.record(if kind == 0 {
            let value = String::from_utf8_lossy(&value).into_owned();
            What::Put { position, key, created: created.unsigned_abs(), value }
        } else {
            What::Remove { position, key }
        });
        *last = at;
    }
    Ok(())
}
