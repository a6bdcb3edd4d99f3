//! The variables of the own tools of etcd and Consul, so that a machine that is set up for them needs nothing more.

use std::ffi::OsString;
use std::path::PathBuf;

use registry_address::Secret;
use registry_core::{Error, Result};

use crate::consul_environment::ConsulEnvironment;

/// What `ETCDCTL_ENDPOINTS`, `ETCDCTL_CACERT`, `ETCDCTL_CERT`, `ETCDCTL_KEY`, `ETCDCTL_USER` (`user` or `user:password`) and
/// `ETCDCTL_PASSWORD` say, and `CONSUL_HTTP_ADDR`, `CONSUL_HTTP_TOKEN`, `CONSUL_HTTP_TOKEN_FILE`, `CONSUL_CACERT`,
/// `CONSUL_CLIENT_CERT` and `CONSUL_CLIENT_KEY`. Empty variables count as unset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// They may be URLs in which a password stands.
    endpoints: Option<Secret>,
    ca: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    user: Option<String>,
    password: Option<Secret>,
    consul: ConsulEnvironment,
}

impl Environment {
    /// The environment of this process.
    ///
    /// # Errors
    /// As [`new`](Environment::new).
    pub fn of_process() -> Result<Self> {
        // `vars` would panic on a foreign variable that is not UTF-8.
        Self::new(std::env::vars_os())
    }

    /// Reads the variables that concern it.
    ///
    /// # Errors
    /// `Config`, naming the variable whose value is not UTF-8; never its value.
    pub fn new<K: Into<OsString>, V: Into<OsString>>(variables: impl IntoIterator<Item = (K, V)>) -> Result<Self> {
        let mut environment = Self::default();
        for (name, value) in variables {
            let (Ok(name), value) = (name.into().into_string(), value.into()) else { continue };
            if value.is_empty() {
                continue;
            }
            if let Some(name) = name.strip_prefix("CONSUL_") {
                environment.consul.take(name, value)?;
                continue;
            }
            let Some(name) = name.strip_prefix("ETCDCTL_") else { continue };
            let text = |value: OsString| {
                let problem = || Error::config(format!("the variable ETCDCTL_{name} is not UTF-8"));
                value.into_string().map_err(|_| problem())
            };
            match name {
                "ENDPOINTS" => environment.endpoints = Some(text(value)?.into()),
                "CACERT" => environment.ca = Some(value.into()),
                "CERT" => environment.cert = Some(value.into()),
                "KEY" => environment.key = Some(value.into()),
                "USER" => environment.user = Some(text(value)?),
                "PASSWORD" => environment.password = Some(text(value)?.into()),
                _ => {}
            }
        }
        // As etcdctl reads it; a password of its own wins over one behind the colon.
        if let Some((user, password)) = environment.user.clone().as_deref().and_then(|user| user.split_once(':')) {
            environment.user = Some(user.to_owned());
            environment.password = environment.password.or_else(|| Some(password.into()));
        }
        Ok(environment)
    }

    /// The URL of the servers that it names, if it names any: on the v2 API and below the prefix of `like` if that is a URL of
    /// an etcd, else on the v3 API. Where it names both an etcd and a Consul, it is the one of `like`, else the etcd; the
    /// URL of a Consul is that of its catalog if `like` is not one of its keys.
    ///
    /// # Errors
    /// `Config` when some of the endpoints speak TLS and others do not, or Consul's address cannot be used.
    pub fn url(&self, like: Option<&str>) -> Result<Option<String>> {
        let is_like_consul = like.is_some_and(|url| url.starts_with("consul"));
        let endpoints = match &self.endpoints {
            Some(endpoints) if !(is_like_consul && self.consul.has_address()) => endpoints,
            _ => return self.consul.url(like),
        };
        let (mut hosts, mut tls) = (Vec::new(), None);
        for endpoint in endpoints.reveal().split(',').map(str::trim).filter(|endpoint| !endpoint.is_empty()) {
            let (secure, host) = match endpoint.split_once("://") {
                Some(("http", host)) => (false, host),
                Some(("https", host)) => (true, host),
                // etcdctl speaks TLS to an endpoint without a scheme when it was given certificates.
                _ => (self.ca.is_some() || self.cert.is_some(), endpoint),
            };
            if *tls.get_or_insert(secure) != secure {
                return Err(Error::config("the variable ETCDCTL_ENDPOINTS mixes endpoints with and without TLS"));
            }
            hosts.push(host.trim_end_matches('/'));
        }
        let (scheme, rest) = like.and_then(|url| url.split_once("://")).unwrap_or_default();
        let (v2, is_etcd) = (scheme.starts_with("etcd-v2"), scheme.starts_with("etcd"));
        let prefix = if is_etcd { rest.find('/').map_or("", |at| &rest[at..]) } else { "" };
        let scheme = match (v2, tls.unwrap_or_default()) {
            (true, true) => "etcd-v2s",
            (true, false) => "etcd-v2",
            (false, true) => "etcds",
            (false, false) => "etcd",
        };
        Ok(Some(format!("{scheme}://{}{prefix}", hosts.join(","))))
    }

    /// Adds what the configuration does not say, from Consul's variables.
    #[cfg(feature = "consul")]
    pub(crate) fn complete_consul(&self, config: registry_consul::Config) -> registry_consul::Config {
        self.consul.complete(config)
    }

    /// Adds what the address does not say: certificates when it speaks TLS, and who we are.
    #[cfg(any(feature = "etcd-v2", feature = "etcd-v3"))]
    pub(crate) fn complete(&self, mut address: registry_address::Address) -> registry_address::Address {
        if address.tls {
            address.ca = address.ca.take().or_else(|| self.ca.clone());
            if address.cert.is_none() && address.key.is_none() {
                (address.cert, address.key) = (self.cert.clone(), self.key.clone());
            }
        }
        if address.user.is_none() && address.password.is_none() && address.password_file.is_none() {
            (address.user, address.password) = (self.user.clone(), self.password.clone());
        }
        address
    }
}

#[cfg(all(test, any(feature = "etcd-v2", feature = "etcd-v3")))]
mod tests {
    use super::*;
    use registry_address::{Address, Scheme};

    const ETCD: Scheme = Scheme { plain: "etcd", secure: "etcds", port: 2379 };

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::new(variables.iter().copied()).unwrap()
    }

    #[test]
    fn names_servers_as_etcdctl_reads_them() {
        let url = |endpoints, like| environment(&[("ETCDCTL_ENDPOINTS", endpoints)]).url(like).map(Option::unwrap);
        assert_eq!(url("h1:2379, h2", None).unwrap(), "etcd://h1:2379,h2");
        assert_eq!(url("https://h1/,https://h2/", Some("etcd://x/pre/fix")).unwrap(), "etcds://h1,h2/pre/fix");
        assert_eq!(url("http://h1", Some("etcd-v2://x:1")).unwrap(), "etcd-v2://h1");
        assert_eq!(url("http://h1", Some("sqlite:///x/y.db")).unwrap(), "etcd://h1");
        assert!(url("http://h1,https://h2", None).unwrap_err().to_string().contains("mixes"));
        assert_eq!(environment(&[("ETCDCTL_ENDPOINTS", "")]).url(None).unwrap(), None);
        let with_ca = environment(&[("ETCDCTL_ENDPOINTS", "h"), ("ETCDCTL_CACERT", "/ca.pem")]);
        assert_eq!(with_ca.url(None).unwrap().unwrap(), "etcds://h");
    }

    #[test]
    fn completes_what_the_url_does_not_say() {
        let variables = [("ETCDCTL_USER", "me:canary"), ("ETCDCTL_CACERT", "/ca.pem"), ("ETCDCTL_DIAL_TIMEOUT", "2s")];
        let environment = environment(&variables);
        let address = environment.complete(Address::parse(&ETCD, "etcds://h").unwrap());
        assert_eq!((address.user.as_deref(), &address.password), (Some("me"), &Some("canary".into())));
        assert_eq!(address.ca.as_deref(), Some(std::path::Path::new("/ca.pem")));
        assert!(!format!("{environment:?}").contains("canary"));
        let address = environment.complete(Address::parse(&ETCD, "etcd://you:mine@h").unwrap());
        assert_eq!((address.user.as_deref(), address.password), (Some("you"), Some("mine".into())), "the URL wins");
        assert_eq!(address.ca, None, "what would not be used is not taken over");
    }
}
