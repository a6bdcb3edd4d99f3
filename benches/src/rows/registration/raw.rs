//! The least that a registration can be, on the raw client of each store.

use std::sync::{Arc, Mutex, PoisonError};

use etcd_client::{Client, PutOptions, Txn, TxnOp};
use serde::Deserialize;

use super::{TTL, VALUE};
use crate::Result;
use crate::stores::{Kind, Store};

pub(super) enum Raw {
    V3(Box<Client>),
    V2(reqwest::Client, String),
    Consul(reqwest::Client, String),
    Sqlite(Embedded),
}

/// A file of `SQLite`.
pub(super) struct Embedded {
    connection: Arc<Mutex<rusqlite::Connection>>,
    insert: fn(&rusqlite::Transaction<'_>, &str) -> rusqlite::Result<()>,
    #[expect(dead_code, reason = "it is removed when this is dropped")]
    directory: tempfile::TempDir,
}

/// The entry, and what others are told.
const TWO_ROWS: &str = "
    CREATE TABLE entry (path TEXT PRIMARY KEY, value BLOB, expires INTEGER, born INTEGER) WITHOUT ROWID;
    CREATE TABLE log (position INTEGER PRIMARY KEY, path TEXT, value BLOB);
";
/// The same, and what the promises need: what ends next is found without reading everything, how an entry ended is known
/// afterwards, and a position that was forgotten never comes again.
const PROMISES: &str = "
    CREATE INDEX entry_expires ON entry (expires);
    CREATE INDEX log_path ON log (path, position);
    CREATE TABLE meta (position INTEGER);
    INSERT INTO meta VALUES (0);
";

#[derive(Deserialize)]
struct Session {
    #[serde(rename = "ID")]
    id: String,
}

impl Raw {
    pub(super) async fn connect(store: &Store) -> Result<Self> {
        let address = format!("http://127.0.0.1:{}", store.port().unwrap_or_default());
        let http = || reqwest::Client::builder().no_proxy().build();
        Ok(match store.kind {
            Kind::EtcdV3 => Self::V3(Box::new(Client::connect([&address], None).await?)),
            Kind::EtcdV2 => Self::V2(http()?, format!("{address}/v2/keys")),
            Kind::Consul => Self::Consul(http()?, format!("{address}/v1")),
            Kind::Sqlite => Self::Sqlite(Embedded::open(TWO_ROWS, two_rows)?),
        })
    }

    /// What the promises of the library cost the raw client, where they cost it anything.
    pub(super) fn promising(store: &Store) -> Result<Option<Self>> {
        let open = || Embedded::open(&[TWO_ROWS, PROMISES].concat(), promised_rows).map(Self::Sqlite);
        (store.kind == Kind::Sqlite).then(open).transpose()
    }

    pub(super) async fn register(&self, key: String) -> Result<()> {
        match self {
            Self::V3(client) => {
                let seconds = i64::try_from(TTL.as_secs())?;
                let lease = client.lease_client().grant(seconds, None).await?.id();
                let put = TxnOp::put(key, VALUE, Some(PutOptions::new().with_lease(lease)));
                client.kv_client().txn(Txn::new().and_then([put])).await?;
            }
            Self::V2(client, address) => {
                let form = [("value", std::str::from_utf8(VALUE)?), ("ttl", &TTL.as_secs().to_string())];
                let answer = client.put(format!("{address}{key}")).form(&form).send().await?;
                answer.error_for_status()?.bytes().await?;
            }
            Self::Consul(client, address) => {
                let session = serde_json::json!({ "TTL": "3600s", "Behavior": "delete", "LockDelay": "0s" });
                let answer = client.put(format!("{address}/session/create")).json(&session).send().await?;
                let Session { id } = answer.error_for_status()?.json().await?;
                let answer = client.put(format!("{address}/kv{key}?acquire={id}")).body(VALUE).send().await?;
                if answer.error_for_status()?.text().await?.trim() != "true" {
                    return Err(format!("consul did not acquire {key}").into());
                }
            }
            Self::Sqlite(embedded) => {
                let (connection, insert) = (Arc::clone(&embedded.connection), embedded.insert);
                let write = move || {
                    let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                    let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
                    insert(&tx, &key)?;
                    tx.commit()
                };
                tokio::task::spawn_blocking(write).await??;
            }
        }
        Ok(())
    }
}

impl Embedded {
    fn open(tables: &str, insert: fn(&rusqlite::Transaction<'_>, &str) -> rusqlite::Result<()>) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let connection = rusqlite::Connection::open(directory.path().join("floor.db"))?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "off")?;
        connection.execute_batch(tables)?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)), insert, directory })
    }
}

fn two_rows(tx: &rusqlite::Transaction<'_>, key: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT INTO log (path, value) VALUES (?1, ?2)")?.execute((key, VALUE))?;
    let position = tx.last_insert_rowid();
    tx.prepare_cached("INSERT OR REPLACE INTO entry VALUES (?1, ?2, ?3, ?4)")?
        .execute((key, VALUE, position, position))?;
    Ok(())
}

fn promised_rows(tx: &rusqlite::Transaction<'_>, key: &str) -> rusqlite::Result<()> {
    let position: i64 = tx.prepare_cached("SELECT position + 1 FROM meta")?.query_row((), |row| row.get(0))?;
    let due = tx.prepare_cached("SELECT path FROM entry WHERE expires < ?1")?.exists([0])?;
    debug_assert!(!due, "nothing ends while this is measured");
    tx.prepare_cached("UPDATE meta SET position = ?1")?.execute([position])?;
    two_rows(tx, key)
}
