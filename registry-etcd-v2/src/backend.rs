//! The registry on the v2 API.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use registry_core::{
    BatchStream, Bytes, Capabilities, Entry, Error, ErrorKind, Index, Info, Key, Lease, RegisterOptions, Registry,
    Result, Scope, Snapshot, async_trait, printable,
};
use registry_http::{Repeat, unexpected};
use reqwest::Method;

use crate::answer::Answer;
use crate::endpoints::{Endpoints, Request};
use crate::error::code;
use crate::ownership::written;
use crate::pace::Pace;
use crate::paths::{Place, Prefix, is_within};
use crate::{tree, watch};

/// The longest that one call may take, over all endpoints.
const CALL_LIMIT: Duration = Duration::from_millis(7500);

/// A registry on the HTTP API of etcd v2. Made by [`connect`](crate::connect).
///
/// Every call asks one endpoint and, if that does not answer within its time limit, each of the others once; it takes
/// less than 8 s. An endpoint that failed is not asked first again until the others have.
pub struct EtcdV2 {
    scheme: &'static str,
    inner: Arc<Inner>,
}

/// What calls and watches share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) prefix: Prefix,
    pub(crate) endpoints: Endpoints,
    pub(crate) pace: Pace,
}

impl EtcdV2 {
    pub(crate) fn new(scheme: &'static str, prefix: String, endpoints: Endpoints) -> Self {
        let inner = Inner { prefix: Prefix::new(prefix), endpoints, pace: Pace::default() };
        Self { scheme, inner: Arc::new(inner) }
    }
}

impl fmt::Debug for EtcdV2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EtcdV2").field(&self.info().to_string()).finish()
    }
}

#[async_trait]
impl Registry for EtcdV2 {
    fn info(&self) -> Info {
        Info { scheme: self.scheme, endpoints: self.inner.endpoints.labels() }
    }

    fn capabilities(&self) -> Capabilities {
        let mut able = Capabilities::full();
        able.ttl_min = Duration::from_secs(1);
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
        limited("deregister", lease.key().as_str(), self.inner.deregister(lease)).await
    }

    async fn remove(&self, key: &Key) -> Result<bool> {
        limited("remove", key.as_str(), self.inner.remove(key)).await
    }

    async fn list(&self, scope: &Scope) -> Result<Snapshot> {
        limited("list", scope.path(), self.inner.list(scope)).await
    }

    async fn watch(&self, scope: &Scope, after: Index) -> Result<BatchStream> {
        limited("watch", scope.path(), watch::watch(Arc::clone(&self.inner), scope.clone(), after)).await
    }
}

async fn limited<T>(operation: &'static str, key: &str, call: impl Future<Output = Result<T>>) -> Result<T> {
    let result = tokio::time::timeout(CALL_LIMIT, call).await.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Timeout, format!("{key}: no endpoint answered within {CALL_LIMIT:?}")))
    });
    result.map_err(|error| error.during(operation))
}

impl Inner {
    /// Reads through the majority: a member without it would serve what it remembers.
    async fn get(&self, path: &str, recursive: bool) -> Result<Answer> {
        let query = if recursive { "quorum=true&recursive=true" } else { "quorum=true" }.to_owned();
        let request = Request { method: Method::GET, path, query, form: Vec::new(), repeat: Repeat::Freely };
        self.endpoints.ask(&request).await
    }

    pub(crate) async fn read(&self, path: &str) -> Result<Answer> {
        self.get(path, false).await
    }

    async fn remove(&self, key: &Key) -> Result<bool> {
        let path = self.prefix.on_server(key.as_str());
        // Without `dir` and `recursive` this never removes a directory.
        let request = Request {
            method: Method::DELETE,
            path: &path,
            query: String::new(),
            form: Vec::new(),
            repeat: Repeat::Freely,
        };
        let answer = self.endpoints.ask(&request).await?;
        match answer.outcome {
            Ok(body) => written(&answer.endpoint, &path, &body).map(|_| true),
            // An endpoint that was asked before may have removed it without being able to say so.
            Err(refusal) if refusal.code == code::KEY_NOT_FOUND => Ok(answer.doubtful),
            Err(refusal) => Err(refusal.into_error(&path)),
        }
    }

    async fn list(&self, scope: &Scope) -> Result<Snapshot> {
        let path = self.prefix.on_server(scope.path());
        let of_directory = matches!(scope, Scope::Directory(_));
        let Answer { endpoint, index, outcome, .. } = self.get(&path, of_directory).await?;
        let body = match outcome {
            Ok(body) => body,
            // Nothing is there, and the answer says as of when.
            Err(refusal) if refusal.code == code::KEY_NOT_FOUND => return Ok(Snapshot { entries: Vec::new(), index }),
            Err(refusal) => return Err(refusal.into_error(&path)),
        };
        let tree = tree::parse(&body)
            .map_err(|error| unexpected(&endpoint, &path, "the answer is not a list of etcd v2").because(error))?;
        if tree.root != path {
            let root = printable(&tree.root);
            return Err(unexpected(&endpoint, &path, format!("the answer is about {root}")));
        }
        match (of_directory, tree.is_entry) {
            (false, false) => {
                let message = format!("{endpoint}: {path}: a directory where an entry is expected");
                return Err(Error::config(message));
            }
            (true, true) => tracing::warn!(%scope, "an entry where a directory is expected: there is nothing below it"),
            _ => {}
        }
        if tree.skipped > 0 {
            tracing::warn!(%scope, directories = tree.skipped, "directories that are nested too deep are left out");
        }
        let mut entries = Vec::with_capacity(tree.leaves.len());
        for leaf in tree.leaves {
            if !is_within(&leaf.key, &path) {
                let key = printable(&leaf.key);
                return Err(unexpected(&endpoint, &path, format!("the answer holds {key}")));
            }
            // Just after its start a server may still list what has expired while it was down.
            if leaf.ttl.is_some_and(|ttl| ttl <= 0) {
                continue;
            }
            match self.prefix.place(scope, &leaf.key) {
                Place::At(name) => {
                    let value = Bytes::from(leaf.value);
                    entries.push(Entry { name, value, index: Index::new(index.epoch(), leaf.created) });
                }
                Place::Outside => {}
                Place::Invalid(error) => {
                    tracing::warn!(%scope, %error, "an entry is left out, for its name is not allowed");
                }
            }
        }
        // The server lists in random order.
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        entries.dedup_by(|a, b| a.name == b.name);
        Ok(Snapshot { entries, index })
    }
}
