//! One HTTP client for each server: a client has one pool of connections for each host in a URL, and cannot keep the addresses
//! behind a name apart.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use registry_address::{Address, Route, Server, Servers};
use registry_core::{Error, Result};
use registry_credentials::{Rotated, Tls, trust_nobody};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::HeaderValue;
use reqwest::{Client, Url};

use crate::client::builder;
use crate::endpoints::CONNECTIONS;

/// The clients that were needed so far.
pub(crate) struct Clients {
    servers: Arc<Servers>,
    tls: Option<Rotated<Tls>>,
    server_name: Option<String>,
    connect_timeout: Duration,
    all: Mutex<HashMap<Server, Made>>,
}

/// A client that connects to one server, whatever the host in the URL is.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) client: Client,
    /// Its host is the name that the server's certificate has to hold.
    pub(crate) base: Url,
    /// What the server is called, with its port.
    pub(crate) host: HeaderValue,
    /// The files that it was made with. It keeps them as long as it lives and connects whenever it likes, so that files which
    /// have changed make a new one.
    tls: Option<Arc<Tls>>,
}

impl Clients {
    pub(crate) fn new(address: &Address, servers: Arc<Servers>) -> Result<Self> {
        let clients = Self {
            servers,
            tls: Tls::of(address)?,
            server_name: address.server_name.clone(),
            connect_timeout: address.connect_timeout,
            all: Mutex::default(),
        };
        // A client that cannot be made, or an endpoint that cannot stand in a URL, is found now.
        clients.of(clients.servers.current())?;
        let in_urls = address.endpoints.iter().filter(|it| !it.starts_with("unix:/") && !it.contains('%'));
        for endpoint in in_urls {
            Url::parse(&format!("http://{endpoint}"))
                .map_err(|error| Error::config(format!("endpoint {endpoint:?} is not valid")).because(error))?;
        }
        Ok(clients)
    }

    /// What is wrong with the TLS files, if older ones are in use.
    pub(crate) fn fault(&self) -> Option<Arc<str>> {
        self.tls.as_ref().and_then(Rotated::fault)
    }

    pub(crate) fn of(&self, server: Server) -> Result<Made> {
        let tls = self.tls.as_ref().map(Rotated::current);
        let is_same = |made: &&Made| match (&made.tls, &tls) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        if let Some(made) = self.all().get(&server).filter(is_same) {
            return Ok(made.clone());
        }
        let made = self.make(server, tls)?;
        let mut all = self.all();
        all.retain(|known, _| self.servers.holds(*known));
        all.insert(server, made.clone());
        Ok(made)
    }

    fn make(&self, server: Server, tls: Option<Arc<Tls>>) -> Result<Made> {
        let authority = self.servers.authority(server);
        let (protocol, config) = match &tls {
            Some(tls) => ("https", tls.config()),
            None => ("http", trust_nobody()?),
        };
        let builder = builder(config).pool_max_idle_per_host(CONNECTIONS).connect_timeout(self.connect_timeout);
        let builder = match self.servers.route(server) {
            Some(Route::Tcp(address)) => builder.dns_resolver(Pinned(Some(address))),
            Some(Route::Unix(path)) => builder.unix_socket(path),
            None => builder.dns_resolver(Pinned(None)),
        };
        let host = match &self.server_name {
            Some(name) => name.as_str(),
            None if self.servers.has_host(server) => authority.rsplit_once(':').map_or(&*authority, |(host, _)| host),
            None if tls.is_some() => {
                return Err(Error::config(format!("{authority}: no certificate can name it: set `server_name`")));
            }
            // A name, and not the address, which would lose its zone.
            None => "localhost",
        };
        let url = |host: &str| {
            Url::parse(&format!("{protocol}://{host}"))
                .map_err(|error| Error::config(format!("endpoint {authority:?} is not valid")).because(error))
        };
        // A port in the URL would win over that of the address, which a resolver may choose. But an address in the URL is
        // connected to without asking the resolver, and needs its port.
        let base = match url(host)? {
            base if base.domain().is_some() => base,
            _ => url(&authority)?,
        };
        let host = HeaderValue::from_str(&authority)
            .map_err(|error| Error::config(format!("endpoint {authority:?} is not valid")).because(error))?;
        let client = builder
            .build()
            .map_err(|error| Error::config("cannot prepare an HTTP client").because(error.without_url()))?;
        Ok(Made { client, base, host, tls })
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Server, Made>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whatever is asked for is here; or nowhere, before the name was resolved.
struct Pinned(Option<SocketAddr>);

impl Resolve for Pinned {
    fn resolve(&self, _: Name) -> Resolving {
        let found = self.0.ok_or_else(|| "its name was not resolved".into());
        Box::pin(std::future::ready(found.map(|address| Box::new(std::iter::once(address)) as Addrs)))
    }
}
