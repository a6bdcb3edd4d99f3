//! Everything below one directory.

use registry_core::{
    BatchStream, Bytes, Capabilities, Dir, Index, Info, Key, Lease, Moment, RegisterOptions, Registry, Removed, Result,
    Scope, Snapshot, async_trait,
};

/// Puts everything below one directory: what its user calls `/clusters/web` is `/staging/clusters/web` in the registry.
///
/// Names in snapshots and changes are relative to their scope, and stay as they are; a lease bears the key that its user
/// knows. Errors of the registry name the whole path.
///
/// # Errors
/// A key that is too long together with the namespace is `InvalidInput`, before any request.
#[derive(Clone, Debug)]
pub struct Namespace<R> {
    inner: R,
    dir: Dir,
}

impl<R: Registry> Namespace<R> {
    /// Puts everything of `inner` below `dir`.
    pub fn new(inner: R, dir: Dir) -> Self {
        Self { inner, dir }
    }

    fn dir(&self, dir: &Dir) -> Result<Dir> {
        self.dir.join(dir.as_str().trim_start_matches('/'))
    }

    fn key(&self, key: &Key) -> Result<Key> {
        Key::new(&self.dir(&key.dir())?, &key.name())
    }

    fn scope(&self, scope: &Scope) -> Result<Scope> {
        Ok(match scope {
            Scope::Directory(dir) => Scope::Directory(self.dir(dir)?),
            Scope::Entry(key) => Scope::Entry(self.key(key)?),
        })
    }

    /// The lease as the registry knows it.
    fn inner(&self, lease: &Lease) -> Result<Lease> {
        Ok(renamed(lease, self.key(lease.key())?))
    }
}

fn renamed(lease: &Lease, key: Key) -> Lease {
    let renamed = Lease::new(key, lease.id(), lease.token(), lease.ttl());
    renamed.set_mark(lease.mark());
    renamed
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<R: Registry> Registry for Namespace<R> {
    fn info(&self) -> Info {
        self.inner.info()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn register(&self, key: &Key, value: Bytes, options: &RegisterOptions) -> Result<Lease> {
        let lease = self.inner.register(&self.key(key)?, value, options).await?;
        Ok(renamed(&lease, key.clone()))
    }

    async fn renew(&self, lease: &Lease) -> Result<()> {
        let inner = self.inner(lease)?;
        let renewed = self.inner.renew(&inner).await;
        // The backend may have learnt something about the lease, whatever the answer is.
        lease.set_mark(inner.mark());
        renewed
    }

    async fn update(&self, lease: &Lease, value: Bytes) -> Result<Lease> {
        let inner = self.inner(lease)?;
        let updated = self.inner.update(&inner, value).await;
        lease.set_mark(inner.mark());
        Ok(renamed(&updated?, lease.key().clone()))
    }

    async fn deregister(&self, lease: &Lease) -> Result<()> {
        let inner = self.inner(lease)?;
        let deregistered = self.inner.deregister(&inner).await;
        lease.set_mark(inner.mark());
        deregistered
    }

    async fn remove(&self, key: &Key) -> Result<bool> {
        self.inner.remove(&self.key(key)?).await
    }

    async fn list(&self, scope: &Scope) -> Result<Snapshot> {
        self.inner.list(&self.scope(scope)?).await
    }

    async fn watch(&self, scope: &Scope, after: Index) -> Result<BatchStream> {
        self.inner.watch(&self.scope(scope)?, after).await
    }

    fn leader_changed(&self) -> Option<Moment> {
        self.inner.leader_changed()
    }

    async fn why_removed(&self, key: &Key, at: Index) -> Result<Removed> {
        self.inner.why_removed(&self.key(key)?, at).await
    }
}
