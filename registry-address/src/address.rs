//! How the servers of a registry are reached, and as whom.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use registry_core::{Dir, Error, Result};

use crate::endpoint;
use crate::resolver::Resolver;
use crate::secret::Secret;

/// The shortest and the longest time that a request may be given: a whole call, which may ask every endpoint, must
/// stay below eight seconds, or a lease could run out while one call waits.
pub(crate) const TIMEOUTS: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(7);

/// The names of one kind of registry in URLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scheme {
    /// Without TLS.
    pub plain: &'static str,
    /// With TLS.
    pub secure: &'static str,
    /// The port when none is given.
    pub port: u16,
}

/// How the servers of a registry are reached, and as whom.
///
/// [`parse`](Address::parse) makes one from a URL; [`new`](Address::new) one whose fields are then set. Whoever connects calls
/// [`check`](Address::check) first.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Address {
    scheme: &'static Scheme,
    /// The members of the cluster, one of which is used at a time: `host:port`, with an IPv6 address in brackets
    /// (`[fe80::1%eth0]:2379` with a zone), or `unix:/path` for a socket of this machine. A name that has several addresses
    /// counts as several members: each address is tried in turn, and the name is resolved again after a failure.
    pub endpoints: Vec<String>,
    /// A path such as `/prefix` that is put before every path on the server; empty for none.
    pub prefix: String,
    /// Whether the servers speak TLS.
    pub tls: bool,
    /// The certificates, in PEM, that may vouch for the servers, as a file or a directory of such files; the system's own when
    /// not given.
    pub ca: Option<PathBuf>,
    /// The client's certificate, in PEM. It goes with `key`. All files are read again when they have changed.
    pub cert: Option<PathBuf>,
    /// The client's private key, in PEM. It goes with `cert`.
    pub key: Option<PathBuf>,
    /// The name that the servers' certificates hold, if it is not the host of the endpoint. It is sent as the name asked for
    /// (SNI), too. Endpoints that no certificate can name (a socket of this machine, an address with a zone) need it.
    pub server_name: Option<String>,
    /// The user to authenticate as.
    pub user: Option<String>,
    /// The password of the user.
    pub password: Option<Secret>,
    /// A file that holds the password instead; it is read again when it has changed, or the password is refused.
    pub password_file: Option<PathBuf>,
    /// How long a new connection may take.
    pub connect_timeout: Duration,
    /// How long one endpoint may take to answer before the next one is asked: 100 ms to 7 s.
    pub request_timeout: Duration,
    /// What resolves the names of endpoints; the system when not set.
    pub resolver: Resolver,
}

impl Scheme {
    fn named(&self, tls: bool) -> &'static str {
        if tls { self.secure } else { self.plain }
    }
}

impl Address {
    /// These servers, without TLS and without a user.
    pub fn new(scheme: &'static Scheme, endpoints: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            scheme,
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            prefix: String::new(),
            tls: false,
            ca: None,
            cert: None,
            key: None,
            server_name: None,
            user: None,
            password: None,
            password_file: None,
            connect_timeout: Duration::from_millis(1500),
            request_timeout: Duration::from_secs(3),
            resolver: Resolver::default(),
        }
    }

    /// Sets the path that is put before every path on the server.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Speaks TLS.
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Trusts the certificates of this PEM file, or of the files in this directory, in place of the system's.
    pub fn ca(mut self, file: impl Into<PathBuf>) -> Self {
        self.ca = Some(file.into());
        self
    }

    /// Shows this client certificate; it needs [`key`](Self::key).
    pub fn cert(mut self, file: impl Into<PathBuf>) -> Self {
        self.cert = Some(file.into());
        self
    }

    /// The private key of [`cert`](Self::cert).
    pub fn key(mut self, file: impl Into<PathBuf>) -> Self {
        self.key = Some(file.into());
        self
    }

    /// Expects this name in the servers' certificates, whatever the endpoints are called.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Resolves the names of endpoints with this.
    pub fn resolver(mut self, resolver: impl Into<Resolver>) -> Self {
        self.resolver = resolver.into();
        self
    }

    /// Sets user and password.
    pub fn login(mut self, user: impl Into<String>, password: impl Into<Secret>) -> Self {
        (self.user, self.password) = (Some(user.into()), Some(password.into()));
        self
    }

    /// Sets how long one endpoint may take to answer.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// The scheme of the URL.
    pub fn scheme(&self) -> &'static str {
        self.scheme.named(self.tls)
    }

    /// The scheme of the same URL with TLS.
    pub fn secure_scheme(&self) -> &'static str {
        self.scheme.secure
    }

    /// Checks everything that can be known without reading a file or asking a server.
    ///
    /// # Errors
    /// `Config`; the message names the part that is wrong, and never holds the password.
    pub fn check(&self) -> Result<()> {
        self.check_servers()?;
        self.check_server_name()?;
        self.check_user()
    }

    fn check_server_name(&self) -> Result<()> {
        let nameless = |endpoint: &&String| endpoint.starts_with("unix:/") || endpoint.contains('%');
        match self.endpoints.iter().find(nameless) {
            Some(endpoint) if self.tls && self.server_name.is_none() => Err(Error::config(format!(
                "{endpoint}: no certificate names a socket or a zone: say with `server_name` which name to expect"
            ))),
            _ => Ok(()),
        }
    }

    /// Everything but what may be completed from elsewhere: the user, and the name in the certificates.
    pub(crate) fn check_servers(&self) -> Result<()> {
        if self.endpoints.is_empty() {
            let (scheme, port) = (self.scheme(), self.scheme.port);
            return Err(Error::config(format!("{scheme}: name at least one endpoint, such as `127.0.0.1:{port}`")));
        }
        self.endpoints.iter().try_for_each(|endpoint| endpoint::check(endpoint))?;
        if !self.prefix.is_empty() {
            Dir::new(&self.prefix).map_err(|error| Error::config(format!("the prefix is not a path: {error}")))?;
        }
        self.check_tls()?;
        for (name, timeout) in [("connect", self.connect_timeout), ("request", self.request_timeout)] {
            if !TIMEOUTS.contains(&timeout) {
                let (min, max) = (TIMEOUTS.start(), TIMEOUTS.end());
                return Err(Error::config(format!(
                    "a {name} timeout of {timeout:?} is not possible; allowed is {min:?} to {max:?}"
                )));
            }
        }
        Ok(())
    }

    /// A setting that would not be used means that somebody believes in a protection that is not there.
    fn check_tls(&self) -> Result<()> {
        let settings = [
            ("ca", self.ca.is_some()),
            ("cert", self.cert.is_some()),
            ("key", self.key.is_some()),
            ("server_name", self.server_name.is_some()),
        ];
        if let Some((name, _)) = settings.iter().find(|(_, is_set)| *is_set && !self.tls) {
            return Err(Error::config(format!(
                "`{name}` needs TLS: write `{}://` instead of `{}://`",
                self.scheme.secure, self.scheme.plain
            )));
        }
        if let Some(name) = &self.server_name
            && (!endpoint::is_name(name) || name.parse::<std::net::Ipv4Addr>().is_ok())
        {
            return Err(Error::config(format!(
                "`server_name` is {name:?}, which is not the name of a host, such as `etcd.example.org`"
            )));
        }
        match (&self.cert, &self.key) {
            (Some(_), None) => Err(Error::config("`cert` is given without `key`: a client certificate needs both")),
            (None, Some(_)) => Err(Error::config("`key` is given without `cert`: a client certificate needs both")),
            _ => Ok(()),
        }
    }

    fn check_user(&self) -> Result<()> {
        match (&self.user, &self.password, &self.password_file) {
            (_, Some(_), Some(_)) => Err(Error::config("a password and `password_file` are both given; keep one")),
            (Some(user), _, _) if user.is_empty() => Err(Error::config("the user is empty")),
            (Some(_), None, None) => Err(Error::config("a user is given without a password or `password_file`")),
            (None, None, None) | (Some(_), _, _) => Ok(()),
            (None, _, _) => Err(Error::config("a password is given without `user`")),
        }
    }

    /// True when what is sent would travel, unprotected, over a network.
    pub fn is_exposed(&self) -> bool {
        let is_local = |endpoint: &String| {
            let host = endpoint::host(endpoint);
            endpoint.starts_with("unix:/")
                || host == "localhost"
                || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        };
        !self.tls && !self.endpoints.iter().all(is_local)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address")
            .field("scheme", &self.scheme())
            .field("endpoints", &self.endpoints)
            .field("prefix", &self.prefix)
            .field("tls", &self.tls)
            .field("ca", &self.ca)
            .field("cert", &self.cert)
            .field("key", &self.key)
            .field("server_name", &self.server_name)
            .field("user", &self.user)
            .field("password", &self.password)
            .field("password_file", &self.password_file)
            .field("connect_timeout", &self.connect_timeout)
            .field("request_timeout", &self.request_timeout)
            .field("resolver", &self.resolver)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETCD: Scheme = Scheme { plain: "etcd", secure: "etcds", port: 2379 };

    type Change = fn(&mut Address);

    fn with(change: impl FnOnce(&mut Address)) -> Result<()> {
        let mut config = Address::new(&ETCD, ["127.0.0.1:2379"]);
        change(&mut config);
        config.check()
    }

    #[test]
    fn names_what_is_missing() {
        with(|_| {}).unwrap();
        let cases: [(Change, &str); 13] = [
            (|c| c.endpoints.clear(), "at least one endpoint"),
            (|c| c.prefix = "/a/../b".into(), "prefix"),
            (|c| c.ca = Some("ca.pem".into()), "etcds://"),
            (|c| (c.tls, c.cert) = (true, Some("c".into())), "without `key`"),
            (|c| (c.tls, c.key) = (true, Some("k".into())), "without `cert`"),
            (|c| c.user = Some("me".into()), "password"),
            (|c| c.password = Some("canary".into()), "without `user`"),
            (|c| c.request_timeout = Duration::from_secs(8), "7s"),
            (|c| c.endpoints.push("[::1".into()), "[::1"),
            (|c| c.server_name = Some("etcd".into()), "`server_name` needs TLS"),
            (|c| (c.tls, c.server_name) = (true, Some("10.0.0.1".into())), "not the name of a host"),
            (|c| (c.tls, c.endpoints) = (true, vec!["unix:/run/e.sock".into()]), "`server_name`"),
            (|c| (c.tls, c.endpoints) = (true, vec!["[fe80::1%eth0]:1".into()]), "`server_name`"),
        ];
        for (change, expected) in cases {
            let error = with(change).expect_err(expected);
            assert_eq!(error.kind(), registry_core::ErrorKind::Config);
            assert!(error.to_string().contains(expected), "{error}");
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }

    #[test]
    fn never_prints_the_password() {
        let mut config = Address::new(&ETCD, ["h:1"]);
        (config.user, config.password) = (Some("me".into()), Some("canary".into()));
        let shown = format!("{config:?} {config:#?}");
        assert!(shown.contains("***") && !shown.contains("canary"), "{shown}");
    }

    #[test]
    fn knows_when_a_password_travels_in_the_open() {
        let exposes = |endpoint: &str, tls| {
            let mut address = Address::new(&ETCD, [endpoint]);
            address.tls = tls;
            address.is_exposed()
        };
        assert!(exposes("10.0.0.1:2379", false) && exposes("etcd:2379", false));
        assert!(!exposes("unix:/run/etcd.sock", false) && exposes("[fe80::1%eth0]:2379", false));
        assert!(!exposes("[::1]:2379", false) && !exposes("localhost:2379", false) && !exposes("etcd:2379", true));
    }
}
