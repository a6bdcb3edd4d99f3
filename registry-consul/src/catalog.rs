//! The registry of services in Consul's catalog.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use registry_core::{
    Batch, BatchStream, Bytes, Capabilities, Dir, Error, Index, Info, Key, Lease, Name, RegisterOptions, Registry,
    Result, Scope, Snapshot, async_trait,
};
use reqwest::{Method, StatusCode};

use crate::client::{Client, Request};
use crate::kv::limited;
use crate::paths::encode;
use crate::poll::{Face, Polls, WAIT, able, without_index};
use crate::proof::filtered;
use crate::service::{Instance, META_VALUE, duplicate_free};
use crate::state::Record;
use crate::watch;

/// A registry of services: what is registered stands in Consul's catalog, DNS and pages, and what others have registered
/// there is listed. Made by [`connect`](crate::connect).
///
/// The last segment of a directory is the name of the service. A call takes less than 8 s.
pub struct Catalog {
    scheme: &'static str,
    pub(crate) inner: Arc<Services>,
    polls: Arc<Polls>,
}

/// What calls and watches share.
#[derive(Debug)]
pub(crate) struct Services {
    /// What stands before the name of every service, with a `-` behind it; or nothing.
    prefix: String,
    pub(crate) client: Client,
}

impl Catalog {
    /// `prefix` is empty or an absolute path.
    pub(crate) fn new(scheme: &'static str, prefix: &str, client: Client) -> Self {
        let prefix = prefix.split('/').filter(|segment| !segment.is_empty()).map(|segment| format!("{segment}-"));
        let inner = Arc::new(Services { prefix: prefix.collect(), client });
        let polls = Polls::new(Arc::clone(&inner) as Arc<dyn Face>);
        Self { scheme, inner, polls }
    }
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Catalog").field(&self.info().to_string()).finish()
    }
}

#[async_trait]
impl Registry for Catalog {
    fn info(&self) -> Info {
        Info { scheme: self.scheme, endpoints: self.inner.client.endpoints() }
    }

    fn capabilities(&self) -> Capabilities {
        let mut able = able();
        able.value_max = META_VALUE;
        able.nested_names = false;
        able.conditions = false;
        able
    }

    async fn register(&self, key: &Key, value: Bytes, options: &RegisterOptions) -> Result<Lease> {
        let ttl = options.check(&self.capabilities(), key, &value)?;
        limited("register", key.as_str(), self.inner.register(key, &value, ttl)).await
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
        let state = limited("list", scope.path(), self.polls.list(&directory(scope))).await?;
        let mut snapshot = state.snapshot();
        if let Scope::Entry(key) = scope {
            snapshot.entries.retain(|entry| entry.name == key.name());
        }
        Ok(snapshot)
    }

    async fn watch(&self, scope: &Scope, after: Index) -> Result<BatchStream> {
        let whole = limited("watch", scope.path(), watch::watch(&self.polls, &directory(scope), after)).await?;
        let Scope::Entry(key) = scope else { return Ok(whole) };
        // One query serves the whole service.
        let name = key.name();
        Ok(Box::pin(whole.map(move |batch| {
            batch.map(|Batch { mut changes, index }| {
                changes.retain(|change| *change.name() == name);
                Batch { changes, index }
            })
        })))
    }
}

fn directory(scope: &Scope) -> Scope {
    match scope {
        Scope::Directory(_) => scope.clone(),
        Scope::Entry(key) => key.dir().into(),
    }
}

impl Services {
    /// The service that a directory means.
    pub(crate) fn service(&self, dir: &Dir) -> String {
        let last = dir.as_str().rsplit('/').next().unwrap_or_default();
        format!("{}{last}", self.prefix)
    }

    /// The instances of a service that are well, and where the server's view of it stands. With `only`, the one that has this
    /// identity: whoever registers many of one service must not read all of them each time.
    ///
    /// All of them are really all. One that is not found by its identity may be one that the token may not see.
    pub(crate) async fn instances(
        &self,
        service: &str,
        only: Option<&str>,
        after: Option<u64>,
    ) -> Result<(u64, Vec<Instance>)> {
        let mut query = "passing&consistent".to_owned();
        // Quotes have no escape in the server's language. Who reads more than needed finds it all the same.
        if let Some(id) = only.filter(|id| !id.contains(['"', '\\'])) {
            query = format!("{query}&filter={}", encode(&format!("Service.ID == \"{id}\"")));
        }
        if let Some(after) = after {
            query = format!("{query}&index={after}&wait={}s", WAIT.as_secs());
        }
        let path = format!("/v1/health/service/{}", encode(service));
        let mut request = Request::new(Method::GET, path, service).query(query);
        if after.is_some() {
            request.patience = WAIT + WAIT / 16 + Duration::from_secs(2);
        }
        let answer = self.client.call(&request).await?;
        if answer.status != StatusCode::OK {
            return Err(answer.unexpected(service));
        }
        let index = answer.index.filter(|index| *index > 0);
        let index = index.ok_or_else(|| without_index(&answer.endpoint, service))?;
        let mut instances: Vec<Instance> = answer.json(service)?;
        // Consul finds services without regard to case, and lets them stand beside each other.
        instances.retain(|instance| instance.service.name == service);
        if answer.filtered {
            self.prove(service).await?;
            return Err(filtered(&answer, service, &Self::rules(service)));
        }
        if only.is_none() {
            self.prove(service).await?;
        }
        Ok((index, instances))
    }
}

#[async_trait]
impl Face for Services {
    async fn look(&self, scope: &Scope, after: Option<u64>) -> Result<(u64, BTreeMap<Name, Record>)> {
        let Scope::Directory(dir) = scope else {
            return Err(Error::unsupported(format!("{scope}: services are looked at as a whole")));
        };
        let (index, instances) = self.instances(&self.service(dir), None, after).await?;
        let mut entries = Vec::with_capacity(instances.len());
        for instance in instances.iter().filter(|instance| !instance.is_evicted()) {
            match instance.name() {
                Ok(name) => entries.push((name, instance.record())),
                Err(error) => {
                    tracing::warn!(%scope, %error, "a service is left out, for its name is not allowed");
                }
            }
        }
        Ok((index, duplicate_free(entries)))
    }
}
