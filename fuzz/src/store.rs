//! A store's file in which somebody else has written.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use registry_core::{Bytes, Dir, Error, Index, Key, RegisterOptions, Registry, Result, Scope};
use registry_sqlite::{Config, connect};
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params_from_iter};
use tokio::runtime::{Builder, Runtime};

/// A directory for one file at a time.
static PLACE: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a temporary directory"));
/// A store with one entry, which is good.
static STORE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let path = put(b"");
    let store = connect(Config::new(&path)).expect("a new store");
    let options = RegisterOptions::new().ttl(Duration::from_hours(24));
    runtime().block_on(store.register(&good(), Bytes::from_static(VALUE), &options)).expect("an entry");
    drop(store);
    taken(&path)
});
/// The same without the types of its columns.
static LOOSE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let path = put(&STORE);
    let store = Connection::open(&path).expect("a store");
    let loosen = ["meta", "entries", "history"].map(|table| {
        format!("CREATE TABLE loose AS SELECT * FROM {table}; DROP TABLE {table}; ALTER TABLE loose RENAME TO {table};")
    });
    store.execute_batch(&loosen.concat()).expect("other tables");
    drop(store);
    taken(&path)
});
/// Where `SQLite` keeps whose database it is, our stores have this.
const OURS: u32 = 0x4363_5267;
const VALUE: &[u8] = b"good";

fn good() -> Key {
    Key::parse("/clusters/web/good").expect("a valid path")
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn put(content: &[u8]) -> PathBuf {
    for file in fs::read_dir(PLACE.path()).expect("a directory") {
        fs::remove_file(file.expect("a file").path()).expect("it can be removed");
    }
    let path = PLACE.path().join("registry.db");
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).expect("a new file");
    std::io::Write::write_all(&mut file, content).expect("it can be written");
    path
}

/// What the file holds when everybody has closed it.
fn taken(path: &Path) -> Vec<u8> {
    let beside = path.with_extension("db-wal");
    assert!(!beside.exists(), "{} is not closed", path.display());
    fs::read(path).expect("a file")
}

/// A refusal names the file; that a thread of ours panicked is none.
fn sound(path: &Path, error: &Error) {
    let said = error.to_string();
    assert!(said.contains(path.to_str().expect("UTF-8")) && !said.contains("was interrupted"), "{said}");
    assert!(!said.contains(char::is_control), "{said:?}");
}

/// Any bytes as the file: what is refused, and does not say that it is ours, is left as it was.
pub(crate) fn file(data: &[u8]) {
    let path = put(data);
    // One in which nothing is belongs to nobody, and becomes a store.
    let count = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .and_then(|file| file.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0)));
    match connect(Config::new(&path)) {
        Ok(store) => {
            let scope = Scope::from(Dir::new("/clusters/web").expect("a valid path"));
            if let Err(error) = runtime().block_on(store.list(&scope)) {
                sound(&path, &error);
            }
        }
        Err(error) => {
            sound(&path, &error);
            let is_ours = data.get(68..72) == Some(&OURS.to_be_bytes()) || count == Ok(0);
            assert!(is_ours || fs::read(&path).expect("a file") == data, "what was refused was changed");
        }
    }
}

/// Rows that we would never write: `table column value` in lines, with the type of the value as its first letter. One that
/// cannot be read harms no other one.
pub(crate) fn rows(data: &[u8]) {
    let (loose, lines) = match data.strip_prefix(b"loose\n") {
        Some(lines) => (true, lines),
        None => (false, data),
    };
    let path = put(if loose { &LOOSE } else { &STORE });
    let store = Connection::open(&path).expect("a store");
    let mut is_whole = true;
    for (number, line) in lines.split(|byte| *byte == b'\n').take(50).enumerate() {
        let mut words = line.splitn(3, |byte| *byte == b' ');
        let (Some(table), Some(column), Some(word)) = (words.next(), words.next(), words.next()) else { continue };
        let Some((sql, value)) = value(word) else { continue };
        is_whole &= table != b"meta";
        insert(&store, number, table, column, sql, value);
    }
    drop(store);
    let registry = match connect(Config::new(&path)) {
        Ok(registry) => registry,
        Err(error) => return sound(&path, &error),
    };
    runtime().block_on(async {
        let done = used(&registry, is_whole).await;
        if let Err(error) = &done {
            sound(&path, error);
        }
        assert!(done.is_ok() || !is_whole, "a bad record harms the others: {done:?}");
    });
}

/// Everything that can be done with a store, for the entry that is good and a new one.
async fn used(registry: &dyn Registry, is_whole: bool) -> Result<()> {
    let scope = Scope::from(Dir::new("/clusters/web").expect("a valid path"));
    let listed = registry.list(&scope).await?;
    let found = listed.entries.iter().any(|entry| entry.name.as_str() == "good" && entry.value[..] == *VALUE);
    assert!(found || !is_whole, "{listed:?}");
    for after in [listed.index, Index::new(listed.index.epoch(), 1)] {
        match registry.watch(&scope, after).await {
            Err(error) if error.kind() == registry_core::ErrorKind::Compacted => {}
            watched => drop(watched?),
        }
    }
    let key = Key::parse("/clusters/web/new").expect("a valid path");
    let lease = registry.register(&key, Bytes::from_static(VALUE), &RegisterOptions::new()).await?;
    registry.renew(&lease).await?;
    let lease = registry.update(&lease, Bytes::from_static(VALUE)).await?;
    registry.deregister(&lease).await?;
    // Of another start of the machine everything has expired.
    assert!(registry.remove(&good()).await? || !is_whole, "the good entry is there");
    Ok(())
}

/// A value and how it stands in SQL.
fn value(word: &[u8]) -> Option<(&'static str, Value)> {
    let (kind, rest) = word.split_first()?;
    let text = || std::str::from_utf8(rest).ok();
    Some(match kind {
        b'i' => ("?1", Value::Integer(text()?.parse().ok()?)),
        b'f' => ("?1", Value::Real(text()?.parse().ok()?)),
        b'b' => ("?1", Value::Blob(rest.to_vec())),
        // SQLite does not ask whether a text is UTF-8.
        b't' => ("CAST(?1 AS TEXT)", Value::Blob(rest.to_vec())),
        b'n' => ("?1", Value::Null),
        _ => return None,
    })
}

/// What `SQLite` itself does not take is left out.
fn insert(store: &Connection, number: usize, table: &[u8], column: &[u8], sql: &str, value: Value) {
    let at = |columns: &[&'static str]| columns.iter().position(|known| known.as_bytes() == column);
    let path = format!("'/clusters/web/x{number}'");
    let position = (100 + number).to_string();
    let (columns, mut row): (&[&str], Vec<&str>) = match table {
        b"meta" => {
            let columns = ["layout", "epoch", "boot", "position", "compacted"];
            let Some(at) = at(&columns) else { return };
            let _ = store.execute(&format!("UPDATE meta SET {} = {sql}", columns[at]), params_from_iter([value]));
            return;
        }
        b"entries" => {
            (&["path", "value", "created", "owner", "expires"], vec![&path, "x''", "2", "'x'", "9223372036854775807"])
        }
        b"history" => {
            (&["position", "path", "kind", "value", "created", "owner"], vec![&position, &path, "0", "x''", "2", "'x'"])
        }
        _ => return,
    };
    let Some(at) = at(columns) else { return };
    row[at] = sql;
    let table = if table == b"entries" { "entries" } else { "history" };
    let insert = format!("INSERT INTO {table} ({}) VALUES ({})", columns.join(", "), row.join(", "));
    let _ = store.execute(&insert, params_from_iter([value]));
}
