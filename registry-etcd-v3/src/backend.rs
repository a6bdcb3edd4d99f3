//! The registry itself: each method hands over to the file that is named after it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use registry_core::{
    BatchStream, Bytes, Capabilities, Index, Info, Key, Lease, Moment, RegisterOptions, Registry, Removed, Result,
    Scope, Snapshot, async_trait, check_value,
};

use crate::access::Access;
use crate::config::Config;
use crate::endpoints::Endpoints;
use crate::leader::Leader;
use crate::orphans::Orphans;
use crate::watch;
use crate::wire::Paths;

/// etcd makes any shorter time to live two seconds.
const TTL_MIN: Duration = Duration::from_secs(2);

/// A registry on the v3 API of etcd. Made by [`connect`].
pub struct EtcdV3 {
    inner: Arc<Inner>,
}

/// What the methods and the open watches share.
pub(crate) struct Inner {
    pub(crate) endpoints: Endpoints,
    pub(crate) paths: Paths,
    pub(crate) orphans: Orphans,
    pub(crate) leader: Leader,
    /// What the version of the last server said.
    pub(crate) loses_events: AtomicBool,
}

/// Makes a registry. It reads and checks the TLS files and the password file, and makes no request: a cluster that is down
/// at the moment is found by the first call.
///
/// # Errors
/// `Config`; the message names the field or file that is wrong.
pub fn connect(config: impl Into<Config>) -> Result<EtcdV3> {
    let Config { address } = config.into();
    let inner = Inner {
        paths: Paths::new(&address.prefix),
        endpoints: Endpoints::new(Access::new(address)?)?,
        orphans: Orphans::default(),
        leader: Leader::default(),
        loses_events: AtomicBool::new(false),
    };
    Ok(EtcdV3 { inner: Arc::new(inner) })
}

#[async_trait]
impl Registry for EtcdV3 {
    fn info(&self) -> Info {
        Info { scheme: "etcd", endpoints: self.inner.endpoints.addresses().to_vec() }
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn register(&self, key: &Key, value: Bytes, options: &RegisterOptions) -> Result<Lease> {
        let ttl = options.check(&self.capabilities(), key, &value).map_err(|error| error.during("register"))?;
        self.inner.register(key, value, options.condition, ttl).await
    }

    async fn renew(&self, lease: &Lease) -> Result<()> {
        self.inner.renew(lease).await
    }

    async fn update(&self, lease: &Lease, value: Bytes) -> Result<Lease> {
        check_value(lease.key(), &value).map_err(|error| error.during("update"))?;
        self.inner.update(lease, value).await
    }

    async fn deregister(&self, lease: &Lease) -> Result<()> {
        self.inner.deregister(lease).await
    }

    async fn remove(&self, key: &Key) -> Result<bool> {
        self.inner.remove(key).await
    }

    async fn list(&self, scope: &Scope) -> Result<Snapshot> {
        self.inner.list(scope).await
    }

    async fn watch(&self, scope: &Scope, after: Index) -> Result<BatchStream> {
        watch::open(&self.inner, scope, after).await
    }

    fn leader_changed(&self) -> Option<Moment> {
        self.inner.leader.changed()
    }

    async fn why_removed(&self, key: &Key, at: Index) -> Result<Removed> {
        self.inner.why_removed(key, at).await
    }
}

impl Inner {
    fn capabilities(&self) -> Capabilities {
        let mut able = Capabilities::full();
        able.ttl_min = TTL_MIN;
        // A watch tells a deletion from an expiry no more than etcd does.
        able.removal_reasons = false;
        able.loses_events = self.loses_events.load(Ordering::Acquire);
        able.idle_limit = watch::IDLE_LIMIT;
        able
    }
}

impl fmt::Debug for EtcdV3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdV3").field("endpoints", &self.inner.endpoints.addresses()).finish_non_exhaustive()
    }
}
