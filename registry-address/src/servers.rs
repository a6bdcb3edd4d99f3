//! Where the endpoints of a cluster are, and which one is tried next.
//!
//! A name with several addresses stands for several servers: behind one of them another answers than behind the next. An HTTP
//! or gRPC client sees one host and one pool of connections there, and stays with the first address that accepts a
//! connection, whether it answers or not. So what is tried, used and left is not a name but a [`Server`].

mod lookup;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use registry_core::Result;

use crate::address::Address;
use crate::endpoint::{Target, split_zone, target};
use crate::resolver::Resolver;
use lookup::Lookup;

/// One address of one endpoint. It is a small value that stays valid: what has become of the address shows when it is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Server {
    endpoint: usize,
    /// `None`: of a socket of this machine, or of a name that was not resolved yet.
    address: Option<SocketAddr>,
}

/// How a server is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Over the network.
    Tcp(SocketAddr),
    /// Through a socket of this machine.
    Unix(PathBuf),
}

/// An endpoint whose name has no known address.
#[derive(Clone, Debug)]
pub struct Unresolved {
    /// The endpoint.
    pub server: Server,
    /// What the resolver said.
    pub reason: String,
}

/// The endpoints of an address, and the server in use.
///
/// Names are resolved when they are needed: at first use; once more in a round in which all known addresses have failed; and
/// beside the requests when an address has failed, or when 30 s have passed. There is at least a second between two lookups
/// of one name. What a lookup finds counts also when nobody waits for it any more. A lookup that fails changes nothing.
#[derive(Debug)]
pub struct Servers {
    all: Vec<Endpoint>,
    resolver: Resolver,
    /// How long a round waits for a lookup.
    limit: Duration,
    /// The server that was used last, or the one after it when it failed.
    current: Mutex<Server>,
}

#[derive(Debug)]
struct Endpoint {
    label: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Socket(PathBuf),
    Literal(SocketAddr),
    Name { host: String, port: u16, lookup: Lookup },
}

impl Servers {
    /// Resolves nothing yet.
    ///
    /// # Errors
    /// `Config`, naming the endpoint that is none.
    pub fn new(address: &Address) -> Result<Arc<Self>> {
        let all = address.endpoints.iter().map(|label| {
            let kind = match target(label)? {
                Target::Socket(path) => Kind::Socket(path),
                Target::Host(host, port) => match host.parse::<IpAddr>() {
                    Ok(ip) => Kind::Literal(SocketAddr::new(ip, port)),
                    // The number of a zone may change with its network interface, so that it is looked up as a name is.
                    Err(_) => Kind::Name { host, port, lookup: Lookup::default() },
                },
            };
            Ok(Endpoint { label: label.clone(), kind })
        });
        let all = all.collect::<Result<Vec<_>>>()?;
        if all.is_empty() {
            return Err(registry_core::Error::config("there is no endpoint"));
        }
        let (resolver, limit) = (address.resolver.clone(), address.connect_timeout);
        let first = Server { endpoint: 0, address: all[0].first() };
        Ok(Arc::new(Self { all, resolver, limit, current: Mutex::new(first) }))
    }

    /// The endpoints, as they were named.
    pub fn endpoints(&self) -> Vec<String> {
        self.all.iter().map(|endpoint| endpoint.label.clone()).collect()
    }

    /// The server that a round would begin with.
    pub fn current(&self) -> Server {
        *self.state()
    }

    /// For messages: the endpoint, and which of its addresses it is if it has a name.
    pub fn label(&self, server: Server) -> String {
        let Endpoint { label, kind } = &self.all[server.endpoint];
        match (kind, server.address) {
            (Kind::Name { .. }, Some(address)) => format!("{label} ({})", address.ip()),
            _ => label.clone(),
        }
    }

    /// What stands for the host in a URL or a `Host` header: the endpoint without a zone; for a socket of this machine
    /// `localhost`.
    pub fn authority(&self, server: Server) -> String {
        let Endpoint { label, kind } = &self.all[server.endpoint];
        match kind {
            Kind::Socket(_) => "localhost".to_owned(),
            Kind::Literal(_) => label.clone(),
            Kind::Name { host, port, .. } => match split_zone(host) {
                (address, Some(_)) => format!("[{address}]:{port}"),
                (host, None) => format!("{host}:{port}"),
            },
        }
    }

    /// Whether a certificate can name the host of this endpoint, and a URL hold it. Otherwise it is a socket, or has a zone.
    pub fn has_host(&self, server: Server) -> bool {
        match &self.all[server.endpoint].kind {
            Kind::Socket(_) => false,
            Kind::Literal(_) => true,
            Kind::Name { host, .. } => split_zone(host).1.is_none(),
        }
    }

    /// How a server is connected to. `None`: its name was not resolved yet.
    pub fn route(&self, server: Server) -> Option<Route> {
        match &self.all[server.endpoint].kind {
            Kind::Socket(path) => Some(Route::Unix(path.clone())),
            Kind::Literal(_) | Kind::Name { .. } => server.address.map(Route::Tcp),
        }
    }

    /// Whether a round could still come to this server. What is kept for another one is not needed any more.
    pub fn holds(&self, server: Server) -> bool {
        match &self.all[server.endpoint].kind {
            Kind::Socket(_) | Kind::Literal(_) => true,
            Kind::Name { lookup, .. } => server.address.is_some_and(|address| lookup.addresses().contains(&address)),
        }
    }

    /// Begins to try one server after the other, the one in use first. Has to be called within a runtime.
    pub fn round(self: &Arc<Self>) -> Round {
        for at in 0..self.all.len() {
            self.renew(at);
        }
        let start = self.current();
        Round { servers: Arc::clone(self), start, step: 0, tried: Vec::new(), has_looked: false }
    }

    /// Notes that a server has answered.
    pub fn keep(&self, server: Server) {
        *self.state() = server;
    }

    /// Leaves a server that failed for the next one, which is returned if this was the server in use: of many requests that
    /// failed there together, only the first one moves on.
    pub fn leave(&self, server: Server) -> Option<Server> {
        if let Kind::Name { lookup, .. } = &self.all[server.endpoint].kind {
            lookup.doubt();
        }
        let next = self.after(server);
        let mut current = self.state();
        if (*current != server && self.begins_with(*current) != server) || next == server {
            return None;
        }
        *current = next;
        Some(next)
    }

    /// The server that a round really begins with: the first address, if this one is not known or not known any more.
    fn begins_with(&self, server: Server) -> Server {
        if self.holds(server) { server } else { Server { address: self.all[server.endpoint].first(), ..server } }
    }

    fn after(&self, server: Server) -> Server {
        if let (Kind::Name { lookup, .. }, Some(address)) = (&self.all[server.endpoint].kind, server.address) {
            let known = lookup.addresses();
            let at = known.iter().position(|known| *known == address);
            if let Some(next) = at.and_then(|at| known.get(at + 1)) {
                return Server { address: Some(*next), ..server };
            }
        }
        let endpoint = (server.endpoint + 1) % self.all.len();
        Server { endpoint, address: self.all[endpoint].first() }
    }

    fn state(&self) -> MutexGuard<'_, Server> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Endpoint {
    /// The address that is tried first, if it is known.
    fn first(&self) -> Option<SocketAddr> {
        match &self.kind {
            Kind::Socket(_) => None,
            Kind::Literal(address) => Some(*address),
            Kind::Name { lookup, .. } => lookup.addresses().first().copied(),
        }
    }
}

/// Each server once. Dropped at any moment, it leaves nothing behind.
#[derive(Debug)]
pub struct Round {
    servers: Arc<Servers>,
    start: Server,
    /// How many endpoints are done with.
    step: usize,
    /// The addresses of this endpoint that were given out.
    tried: Vec<SocketAddr>,
    /// Whether the name of this endpoint was looked up in this round.
    has_looked: bool,
}

impl Round {
    /// The next server to try; an endpoint that has none is an error, and the round goes on. `None`: that was all.
    ///
    /// Cancel safe: a lookup that nobody waits for any more goes on, and the next round has its result.
    pub async fn next(&mut self) -> Option<Result<Server, Unresolved>> {
        loop {
            let endpoint = self.endpoint()?;
            let server = Server { endpoint, address: None };
            let lookup = match &self.servers.all[endpoint].kind {
                Kind::Socket(_) => {
                    self.go_on();
                    return Some(Ok(server));
                }
                Kind::Literal(address) => {
                    let address = Some(*address);
                    self.go_on();
                    return Some(Ok(Server { address, ..server }));
                }
                Kind::Name { lookup, .. } => lookup,
            };
            if let Some(address) = self.untried(lookup) {
                self.tried.push(address);
                return Some(Ok(Server { address: Some(address), ..server }));
            }
            // Nothing is known, or nothing that is known answers: the name may mean others by now.
            if !self.has_looked {
                self.has_looked = true;
                let done = self.servers.look_up(endpoint).await;
                match done {
                    Err(reason) if self.tried.is_empty() => {
                        self.servers.leave(server);
                        self.go_on();
                        return Some(Err(Unresolved { server, reason }));
                    }
                    _ => continue,
                }
            }
            self.go_on();
        }
    }

    /// How many servers are left at least: a name that was not resolved yet counts as one.
    pub fn left(&self) -> usize {
        let count = self.servers.all.len();
        let of = |step: usize| {
            let endpoint = (self.start.endpoint + step) % count;
            match &self.servers.all[endpoint].kind {
                Kind::Socket(_) | Kind::Literal(_) => 1,
                Kind::Name { lookup, .. } => {
                    let known = lookup.addresses();
                    let tried = if step == self.step { self.tried.as_slice() } else { &[] };
                    let left = known.iter().filter(|known| !tried.contains(known)).count();
                    if known.is_empty() { 1 } else { left }
                }
            }
        };
        (self.step..count).map(of).sum()
    }

    fn endpoint(&self) -> Option<usize> {
        let count = self.servers.all.len();
        (self.step < count).then(|| (self.start.endpoint + self.step) % count)
    }

    /// The first address that was not tried, from the one in use on.
    fn untried(&self, lookup: &Lookup) -> Option<SocketAddr> {
        let known = lookup.addresses();
        let from = self.start.address.filter(|_| self.step == 0);
        let from = from.and_then(|address| known.iter().position(|known| *known == address)).unwrap_or(0);
        let (before, rest) = known.split_at(from);
        rest.iter().chain(before).find(|address| !self.tried.contains(address)).copied()
    }

    fn go_on(&mut self) {
        self.step += 1;
        self.tried.clear();
        self.has_looked = false;
    }
}
