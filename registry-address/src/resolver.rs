//! What addresses a name has.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use registry_core::async_trait;

/// Resolves the names of hosts.
///
/// An implementation may take as long as it needs: a call waits for a bounded time, and goes on with what is known.
#[async_trait]
pub trait Resolve: fmt::Debug + Send + Sync + 'static {
    /// The addresses of a host with this port, in the order in which they are to be tried.
    ///
    /// # Errors
    /// Whatever went wrong. A name without an address is an error or an empty list. Neither takes away addresses that were
    /// known before.
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// What resolves the names of endpoints: the system (`getaddrinfo`), unless another one is set.
///
/// ```
/// use std::io;
/// use std::net::SocketAddr;
///
/// use registry_address::{Address, Resolve, Scheme};
/// use registry_core::async_trait;
///
/// /// Knows one name.
/// #[derive(Debug)]
/// struct Fixed(Vec<SocketAddr>);
///
/// #[async_trait]
/// impl Resolve for Fixed {
///     async fn resolve(&self, _host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
///         Ok(self.0.clone())
///     }
/// }
///
/// const ETCD: Scheme = Scheme { plain: "etcd", secure: "etcds", port: 2379 };
/// let addresses = ["10.0.0.1:2379", "10.0.0.2:2379"].map(|it| it.parse().expect("an address"));
/// let address = Address::new(&ETCD, ["etcd-headless:2379"]).resolver(Fixed(addresses.to_vec()));
/// # address.check()?;
/// # Ok::<(), registry_core::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Resolver(Option<Arc<dyn Resolve>>);

impl Resolver {
    /// The addresses of a host. One with a zone is left to the system, which knows the network interfaces.
    pub(crate) async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        match &self.0 {
            Some(own) if !host.contains('%') => own.resolve(host, port).await,
            _ => Ok(tokio::net::lookup_host((host, port)).await?.collect()),
        }
    }
}

impl<R: Resolve> From<R> for Resolver {
    fn from(resolver: R) -> Self {
        Self(Some(Arc::new(resolver)))
    }
}

/// Two are equal when they are the same one.
impl PartialEq for Resolver {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        }
    }
}

impl Eq for Resolver {}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(own) => own.fmt(f),
            None => f.write_str("System"),
        }
    }
}
