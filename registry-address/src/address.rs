//! How the servers of a registry are reached, and as whom.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use registry_core::{Dir, Error, Result};

use crate::endpoint;
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
    /// The members of the cluster, `host:port` each; an IPv6 address stands in brackets. One of them is used at a time.
    pub endpoints: Vec<String>,
    /// A path such as `/prefix` that is put before every path on the server; empty for none.
    pub prefix: String,
    /// Whether the servers speak TLS.
    pub tls: bool,
    /// The certificates, in PEM, that may vouch for the servers; the system's own when not given.
    pub ca: Option<PathBuf>,
    /// The client's certificate, in PEM. It goes with `key`. All files are read again when they have changed.
    pub cert: Option<PathBuf>,
    /// The client's private key, in PEM. It goes with `cert`.
    pub key: Option<PathBuf>,
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
            user: None,
            password: None,
            password_file: None,
            connect_timeout: Duration::from_millis(1500),
            request_timeout: Duration::from_secs(3),
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

    /// Trusts the certificates of this PEM file in place of the system's.
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
        self.check_user()
    }

    /// Everything but the user, who may be completed from elsewhere.
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

    /// A file that would not be used means that somebody believes in a protection that is not there.
    fn check_tls(&self) -> Result<()> {
        let files = [("ca", &self.ca), ("cert", &self.cert), ("key", &self.key)];
        if let Some((name, _)) = files.iter().find(|(_, file)| file.is_some() && !self.tls) {
            return Err(Error::config(format!(
                "`{name}` needs TLS: write `{}://` instead of `{}://`",
                self.scheme.secure, self.scheme.plain
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
            host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
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
            .field("user", &self.user)
            .field("password", &self.password)
            .field("password_file", &self.password_file)
            .field("connect_timeout", &self.connect_timeout)
            .field("request_timeout", &self.request_timeout)
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
        let cases: [(Change, &str); 9] = [
            (|c| c.endpoints.clear(), "at least one endpoint"),
            (|c| c.prefix = "/a/../b".into(), "prefix"),
            (|c| c.ca = Some("ca.pem".into()), "etcds://"),
            (|c| (c.tls, c.cert) = (true, Some("c".into())), "without `key`"),
            (|c| (c.tls, c.key) = (true, Some("k".into())), "without `cert`"),
            (|c| c.user = Some("me".into()), "password"),
            (|c| c.password = Some("canary".into()), "without `user`"),
            (|c| c.request_timeout = Duration::from_secs(8), "7s"),
            (|c| c.endpoints.push("[::1".into()), "[::1"),
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
        assert!(!exposes("[::1]:2379", false) && !exposes("localhost:2379", false) && !exposes("etcd:2379", true));
    }
}
