//! Who changes what the others follow.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Txn, TxnOp};
use registry::{Key, Lease, RegisterOptions, Registry};
use tokio::task::JoinSet;

use super::{Kind, Store};
use crate::Result;

/// How many puts etcd takes in one transaction.
const TRANSACTION: usize = 128;
/// How many requests run side by side when a directory is filled over HTTP.
const SIDE_BY_SIDE: usize = 16;
/// Longer than any measurement.
const TTL: Duration = Duration::from_hours(1);

/// A client that writes, independent of what is measured; for the embedded store the library, since nothing else writes it.
pub(crate) enum Writer {
    V3(Box<etcd_client::Client>),
    V2(Http),
    Consul(Http),
    Library(Arc<dyn Registry>, HashMap<String, Lease>),
}

/// A client and the address below which keys stand.
#[derive(Clone)]
pub(crate) struct Http {
    client: reqwest::Client,
    address: String,
}

impl Writer {
    pub(super) async fn connect(store: &Store) -> Result<Self> {
        let address = format!("http://127.0.0.1:{}", store.port().unwrap_or_default());
        let http = |below: &str| -> Result<Http> {
            let client = reqwest::Client::builder().no_proxy().build()?;
            Ok(Http { client, address: format!("{address}{below}") })
        };
        Ok(match store.kind {
            Kind::EtcdV3 => Self::V3(Box::new(etcd_client::Client::connect([&address], None).await?)),
            Kind::EtcdV2 => Self::V2(http("/v2/keys")?),
            Kind::Consul => Self::Consul(http("/v1/kv")?),
            Kind::Sqlite => Self::Library(registry::connect(&store.url(None))?, HashMap::new()),
        })
    }

    /// Sets a key; returns when the store has acknowledged it.
    pub(crate) async fn put(&mut self, key: &str, value: &str) -> Result<()> {
        match self {
            Self::V3(client) => drop(client.put(key, value, None).await?),
            Self::V2(http) => http.put_v2(key, value).await?,
            Self::Consul(http) => http.put_consul(key, value).await?,
            Self::Library(registry, leases) => {
                let value = value.to_owned().into();
                let lease = match leases.get(key) {
                    Some(lease) => registry.update(lease, value).await?,
                    None => registry.register(&Key::parse(key)?, value, &RegisterOptions::new().ttl(TTL)).await?,
                };
                leases.insert(key.to_owned(), lease);
            }
        }
        Ok(())
    }

    /// Sets many keys of a directory to one value.
    pub(crate) async fn fill(&mut self, keys: &[String], value: &str) -> Result<()> {
        match self {
            Self::V3(client) => {
                for keys in keys.chunks(TRANSACTION) {
                    let puts: Vec<_> = keys.iter().map(|key| TxnOp::put(key.as_str(), value, None)).collect();
                    client.txn(Txn::new().and_then(puts)).await?;
                }
            }
            Self::V2(http) | Self::Consul(http) => {
                let is_consul = http.address.ends_with("/v1/kv");
                let mut tasks = JoinSet::new();
                for keys in keys.chunks(keys.len().div_ceil(SIDE_BY_SIDE).max(1)) {
                    let (http, keys, value) = (http.clone(), keys.to_vec(), value.to_owned());
                    tasks.spawn(async move {
                        for key in keys {
                            if is_consul {
                                http.put_consul(&key, &value).await?;
                            } else {
                                http.put_v2(&key, &value).await?;
                            }
                        }
                        Ok::<(), crate::Error>(())
                    });
                }
                while let Some(done) = tasks.join_next().await {
                    done??;
                }
            }
            Self::Library(..) => {
                for key in keys {
                    self.put(key, value).await?;
                }
            }
        }
        Ok(())
    }
}

impl Http {
    async fn put_v2(&self, key: &str, value: &str) -> Result<()> {
        let request = self.client.put(format!("{}{key}", self.address)).form(&[("value", value)]);
        let answer = request.send().await?.error_for_status()?;
        answer.bytes().await?;
        Ok(())
    }

    async fn put_consul(&self, key: &str, value: &str) -> Result<()> {
        let request = self.client.put(format!("{}{key}", self.address)).body(value.to_owned());
        let answer = request.send().await?.error_for_status()?;
        match answer.text().await?.trim() {
            "true" => Ok(()),
            other => Err(format!("consul did not set {key}: {other}").into()),
        }
    }
}
