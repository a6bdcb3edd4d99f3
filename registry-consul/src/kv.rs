//! The registry of keys that sessions hold.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use registry_core::{
    BatchStream, Bytes, Capabilities, Error, ErrorKind, Index, Info, Key, Lease, Name, RegisterOptions, Registry,
    Result, Scope, Snapshot, async_trait,
};
use reqwest::{Method, StatusCode};

use crate::answer::Answer;
use crate::client::{Client, Request};
use crate::paths::{Place, Prefix, encode};
use crate::poll::{Face, Polls, WAIT, able, without_index};
use crate::proof::filtered;
use crate::state::Record;
use crate::watch;
use crate::wire::Pair;

/// The longest that one call may take, over all endpoints.
const CALL_LIMIT: Duration = Duration::from_millis(7500);

/// A registry of keys in Consul's store, each held by a session of its own. Made by [`connect_kv`](crate::connect_kv).
///
/// Every call asks one agent and, if that does not answer within its time limit, each of the others once; it takes less
/// than 8 s. An agent that failed is not asked first again until the others have.
pub struct Kv {
    scheme: &'static str,
    inner: Arc<Inner>,
    polls: Arc<Polls>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) prefix: Prefix,
    pub(crate) client: Client,
}

impl Kv {
    pub(crate) fn new(scheme: &'static str, prefix: String, client: Client) -> Self {
        let inner = Arc::new(Inner { prefix: Prefix::new(prefix), client });
        let polls = Polls::new(Arc::clone(&inner) as Arc<dyn Face>);
        Self { scheme, inner, polls }
    }
}

impl fmt::Debug for Kv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Kv").field(&self.info().to_string()).finish()
    }
}

#[async_trait]
impl Registry for Kv {
    fn info(&self) -> Info {
        Info { scheme: self.scheme, endpoints: self.inner.client.endpoints() }
    }

    fn capabilities(&self) -> Capabilities {
        let mut able = able();
        // Consul promises a session its time, and lets it end after up to twice that.
        able.ttl_factor = 2;
        able
    }

    async fn register(&self, key: &Key, value: Bytes, options: &RegisterOptions) -> Result<Lease> {
        let ttl = options.check(&self.capabilities(), key, &value)?;
        limited("register", key.as_str(), self.inner.register(key, &value, ttl, options.condition)).await
    }

    async fn renew(&self, lease: &Lease) -> Result<()> {
        limited("renew", lease.key().as_str(), self.inner.renew(lease)).await
    }

    async fn update(&self, lease: &Lease, value: Bytes) -> Result<Lease> {
        limited("update", lease.key().as_str(), self.inner.update(lease, &value)).await
    }

    async fn deregister(&self, lease: &Lease) -> Result<()> {
        limited("deregister", lease.key().as_str(), self.inner.destroy(lease.id(), lease.key())).await
    }

    async fn remove(&self, key: &Key) -> Result<bool> {
        limited("remove", key.as_str(), self.inner.remove(key)).await
    }

    async fn list(&self, scope: &Scope) -> Result<Snapshot> {
        limited("list", scope.path(), self.polls.list(scope)).await.map(|state| state.snapshot())
    }

    async fn watch(&self, scope: &Scope, after: Index) -> Result<BatchStream> {
        limited("watch", scope.path(), watch::watch(&self.polls, scope, after)).await
    }
}

pub(crate) async fn limited<T>(
    operation: &'static str,
    about: &str,
    call: impl Future<Output = Result<T>>,
) -> Result<T> {
    let result = tokio::time::timeout(CALL_LIMIT, call).await.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Timeout, format!("{about}: no endpoint answered within {CALL_LIMIT:?}")))
    });
    result.map_err(|error| error.during(operation))
}

#[async_trait]
impl Face for Inner {
    async fn look(&self, scope: &Scope, after: Option<u64>) -> Result<(u64, BTreeMap<Name, Record>)> {
        let key = self.prefix.key(scope.path());
        let answer = match scope {
            Scope::Directory(_) => self.read(&format!("{key}/"), true, after).await?,
            Scope::Entry(_) => self.read(&key, false, after).await?,
        };
        let index = answer.index.filter(|index| *index > 0);
        let index = index.ok_or_else(|| without_index(&answer.endpoint, scope.path()))?;
        let pairs: Vec<Pair> = match answer.status {
            StatusCode::OK => answer.json(scope.path())?,
            StatusCode::NOT_FOUND => Vec::new(),
            _ => return Err(answer.unexpected(scope.path())),
        };
        // To whoever may not read a single key Consul says so.
        if matches!(scope, Scope::Directory(_)) {
            self.prove(&key).await?;
        }
        if answer.filtered {
            return Err(filtered(&answer, scope.path(), &format!(r#"`key_prefix "{key}/" {{ policy = "read" }}`"#)));
        }
        let mut entries = BTreeMap::new();
        for pair in pairs {
            match self.prefix.place(scope, &pair.key) {
                Place::Outside => {}
                Place::Invalid(error) => {
                    tracing::warn!(%scope, %error, "an entry is left out, for its name is not allowed");
                }
                Place::At(name) => {
                    let Some(record) = record(&pair) else { return Err(answer.unexpected(scope.path())) };
                    entries.insert(name, record);
                }
            }
        }
        Ok((index, entries))
    }
}

fn record(pair: &Pair) -> Option<Record> {
    Some(Record {
        value: pair.bytes()?.into(),
        created: pair.create_index,
        modified: pair.modify_index,
        owner: pair.session.as_deref().filter(|session| !session.is_empty()).map(Arc::from),
    })
}

impl Inner {
    /// Reads a key, or all that begin with it, from a leader that has proven to be one.
    pub(crate) async fn read(&self, key: &str, recursive: bool, after: Option<u64>) -> Result<Answer> {
        let mut query = if recursive { "recurse&consistent" } else { "consistent" }.to_owned();
        if let Some(after) = after {
            query = format!("{query}&index={after}&wait={}s", WAIT.as_secs());
        }
        let mut request = Request::new(Method::GET, format!("/v1/kv/{}", encode(key)), key).query(query);
        if after.is_some() {
            request.patience = WAIT + WAIT / 16 + Duration::from_secs(2);
        }
        self.client.call(&request).await
    }
}
