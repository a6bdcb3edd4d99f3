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
    /// With the directory that it lies in, until it is not needed any more.
    Sqlite(
        Arc<Mutex<rusqlite::Connection>>,
        #[expect(dead_code, reason = "it is removed when this is dropped")] tempfile::TempDir,
    ),
}

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
            Kind::Sqlite => {
                let directory = tempfile::tempdir()?;
                let connection = rusqlite::Connection::open(directory.path().join("floor.db"))?;
                connection.pragma_update(None, "journal_mode", "wal")?;
                connection.pragma_update(None, "synchronous", "off")?;
                connection.execute_batch(
                    "CREATE TABLE entry (path TEXT PRIMARY KEY, value BLOB, expires INTEGER, born INTEGER) WITHOUT ROWID;
                     CREATE TABLE log (position INTEGER PRIMARY KEY, path TEXT, value BLOB);",
                )?;
                Self::Sqlite(Arc::new(Mutex::new(connection)), directory)
            }
        })
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
            Self::Sqlite(connection, _) => {
                let connection = Arc::clone(connection);
                tokio::task::spawn_blocking(move || insert(&connection, &key)).await??;
            }
        }
        Ok(())
    }
}

fn insert(connection: &Mutex<rusqlite::Connection>, key: &str) -> Result<()> {
    let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
    let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    tx.prepare_cached("INSERT INTO log (path, value) VALUES (?1, ?2)")?.execute((key, VALUE))?;
    let position = tx.last_insert_rowid();
    tx.prepare_cached("INSERT OR REPLACE INTO entry VALUES (?1, ?2, ?3, ?4)")?.execute((key, VALUE, 0, position))?;
    tx.commit()?;
    Ok(())
}
