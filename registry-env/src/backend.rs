//! The registry over the variables.

use std::collections::BTreeMap;
use std::ffi::OsString;

use futures_util::stream;
use registry_core::{
    BatchStream, Bytes, Capabilities, Entry, Index, Info, Key, Lease, Name, RegisterOptions, Registry, Result, Scope,
    Snapshot, async_trait,
};

use crate::config::{COMMON, is_ours, variable};
use crate::error::{in_variable, read_only};
use crate::wire::members;

/// There is one state and it never changes: one epoch, one position.
const INDEX: Index = Index::new(1, 1);

/// The members that stand in environment variables.
#[derive(Debug)]
pub struct EnvRegistry {
    lists: BTreeMap<String, Vec<Name>>,
}

impl EnvRegistry {
    /// Reads the variables whose name begins with `CLUSTER_MEMBERS` and leaves the others alone.
    ///
    /// # Errors
    /// `Config`, naming the variable and what is wrong with it.
    pub fn new<K: Into<OsString>, V: Into<OsString>>(variables: impl IntoIterator<Item = (K, V)>) -> Result<Self> {
        let mut lists = BTreeMap::new();
        for (name, value) in variables {
            let Some(name) = name.into().into_string().ok().filter(|name| is_ours(name)) else { continue };
            let value = value.into().into_string().map_err(|_| in_variable(&name, "its value is not UTF-8"))?;
            let names = members(&name, &value)?;
            lists.insert(name, names);
        }
        Ok(Self { lists })
    }

    /// Reads the environment of this process.
    ///
    /// # Errors
    /// As [`new`](EnvRegistry::new), and `Config` when there is no such variable at all.
    pub fn from_environment() -> Result<Self> {
        // `vars` would panic on a foreign variable that is not UTF-8.
        let registry = Self::new(std::env::vars_os())?;
        if registry.lists.is_empty() {
            return Err(in_variable(
                COMMON,
                "it is not set; write the members into it: CLUSTER_MEMBERS=host:port,host:port",
            ));
        }
        Ok(registry)
    }

    fn names(&self, scope: &Scope) -> &[Name] {
        let own = self.lists.get(&variable(scope)).or_else(|| self.lists.get(COMMON));
        own.map_or(&[], Vec::as_slice)
    }
}

#[async_trait]
impl Registry for EnvRegistry {
    fn info(&self) -> Info {
        Info { scheme: "env", endpoints: self.lists.keys().cloned().collect() }
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::read_only()
    }

    async fn register(&self, key: &Key, value: Bytes, options: &RegisterOptions) -> Result<Lease> {
        options.check(&self.capabilities(), key, &value)?;
        Err(read_only())
    }

    async fn renew(&self, _: &Lease) -> Result<()> {
        Err(read_only())
    }

    async fn update(&self, _: &Lease, _: Bytes) -> Result<Lease> {
        Err(read_only())
    }

    async fn deregister(&self, _: &Lease) -> Result<()> {
        Err(read_only())
    }

    async fn remove(&self, _: &Key) -> Result<bool> {
        Err(read_only())
    }

    async fn list(&self, scope: &Scope) -> Result<Snapshot> {
        let wanted = |name: &&Name| match scope {
            Scope::Directory(_) => true,
            Scope::Entry(key) => **name == key.name(),
        };
        let entry = |name: &Name| Entry { name: name.clone(), value: Bytes::new(), index: INDEX };
        Ok(Snapshot { entries: self.names(scope).iter().filter(wanted).map(entry).collect(), index: INDEX })
    }

    async fn watch(&self, _: &Scope, _: Index) -> Result<BatchStream> {
        Ok(Box::pin(stream::pending()))
    }
}
