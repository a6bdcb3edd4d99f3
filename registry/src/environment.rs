//! The variables of the own tools of etcd and Consul, so that a machine that is set up for them needs nothing more.

use std::ffi::OsString;
use std::path::PathBuf;

use registry_address::Secret;
use registry_core::{Error, Result};

use crate::consul_environment::ConsulEnvironment;
use crate::variables::{Switch, around_hosts, socket, text};

/// What `ETCDCTL_ENDPOINTS`, `ETCDCTL_CACERT`, `ETCDCTL_CERT`, `ETCDCTL_KEY`, `ETCDCTL_USER` (`user` or `user:password`) and
/// `ETCDCTL_PASSWORD` say, and `CONSUL_HTTP_ADDR`, `CONSUL_HTTP_SSL`, `CONSUL_HTTP_TOKEN`, `CONSUL_HTTP_TOKEN_FILE`,
/// `CONSUL_CACERT`, `CONSUL_CAPATH`, `CONSUL_CLIENT_CERT`, `CONSUL_CLIENT_KEY` and `CONSUL_TLS_SERVER_NAME`. Empty variables
/// count as unset.
///
/// Of the other variables, those that change what is safe or which servers are asked are refused where they would matter, by an
/// error that names the variable: `ETCDCTL_INSECURE_TRANSPORT=false` for a URL without TLS (else it chooses TLS),
/// `ETCDCTL_INSECURE_SKIP_TLS_VERIFY`, `ETCDCTL_DISCOVERY_SRV`, `ETCDCTL_AUTH_JWT_TOKEN`, `CONSUL_HTTP_SSL_VERIFY=false`,
/// `CONSUL_HTTP_AUTH`, and a `CONSUL_NAMESPACE` or `CONSUL_PARTITION` other than `default`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// They may be URLs in which a password stands.
    endpoints: Option<Secret>,
    ca: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    user: Option<String>,
    password: Option<Secret>,
    insecure_transport: Switch,
    skip_verify: Switch,
    /// Servers are to be found by DNS.
    has_discovery: bool,
    has_token: bool,
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
            let text = |value: OsString| text(&format!("ETCDCTL_{name}"), value);
            match name {
                "ENDPOINTS" => environment.endpoints = Some(text(value)?.into()),
                "CACERT" => environment.ca = Some(value.into()),
                "CERT" => environment.cert = Some(value.into()),
                "KEY" => environment.key = Some(value.into()),
                "USER" => environment.user = Some(text(value)?),
                "PASSWORD" => environment.password = Some(text(value)?.into()),
                "INSECURE_TRANSPORT" => environment.insecure_transport = Switch::read(&value),
                "INSECURE_SKIP_TLS_VERIFY" => environment.skip_verify = Switch::read(&value),
                "DISCOVERY_SRV" => environment.has_discovery = true,
                "AUTH_JWT_TOKEN" => environment.has_token = true,
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
    /// `Config` when some of the endpoints speak TLS and others do not, Consul's address cannot be used, or the servers are to be
    /// found by DNS (`ETCDCTL_DISCOVERY_SRV`).
    pub fn url(&self, like: Option<&str>) -> Result<Option<String>> {
        const ENDPOINTS: &str = "ETCDCTL_ENDPOINTS";
        let is_consul = self.consul.has_address() && like.is_some_and(|url| url.starts_with("consul"));
        // etcdctl prefers what it finds that way.
        if self.has_discovery && !is_consul {
            return Err(Error::config(format!(
                "the variable ETCDCTL_DISCOVERY_SRV is set, and servers are not looked for by DNS: unset it, and name them in {ENDPOINTS}"
            )));
        }
        let endpoints = match &self.endpoints {
            Some(endpoints) if !is_consul => endpoints,
            _ => return self.consul.url(like),
        };
        let (scheme, rest) =
            like.map(around_hosts).filter(|(scheme, _)| scheme.starts_with("etcd")).unwrap_or_default();
        let wants_tls = self.insecure_transport.of("ETCDCTL_INSECURE_TRANSPORT")? == Some(false);
        // etcdctl speaks TLS to an endpoint without a scheme when it was given certificates. A URL with TLS does not lose it to
        // a variable that says nothing of it.
        let usual = wants_tls || self.ca.is_some() || self.cert.is_some() || scheme.ends_with('s');
        let (mut hosts, mut tls) = (Vec::new(), None);
        for endpoint in endpoints.reveal().split(',').map(str::trim).filter(|endpoint| !endpoint.is_empty()) {
            let (secure, host) = match endpoint.split_once("://") {
                Some(("http", host)) => (false, host.trim_end_matches('/').to_owned()),
                Some(("https", host)) => (true, host.trim_end_matches('/').to_owned()),
                Some(("unix", path)) => (false, socket(ENDPOINTS, path)?),
                Some(("unixs", path)) => (true, socket(ENDPOINTS, path)?),
                _ => (usual, endpoint.trim_end_matches('/').to_owned()),
            };
            if *tls.get_or_insert(secure) != secure {
                return Err(Error::config(format!("the variable {ENDPOINTS} mixes endpoints with and without TLS")));
            }
            hosts.push(host);
        }
        let scheme = match (scheme.starts_with("etcd-v2"), tls.unwrap_or_default()) {
            (true, true) => "etcd-v2s",
            (true, false) => "etcd-v2",
            (false, true) => "etcds",
            (false, false) => "etcd",
        };
        Ok(Some(format!("{scheme}://{}{rest}", hosts.join(","))))
    }

    /// Adds what the configuration does not say, from Consul's variables.
    ///
    /// # Errors
    /// `Config`, naming a variable that asks for what is not done.
    #[cfg(feature = "consul")]
    pub(crate) fn complete_consul(&self, config: registry_consul::Config) -> Result<registry_consul::Config> {
        self.consul.complete(config)
    }

    /// Adds what the address does not say: certificates when it speaks TLS, and who we are.
    ///
    /// # Errors
    /// `Config`, naming a variable that asks for what is not done: it must not seem to be in force.
    #[cfg(any(feature = "etcd-v2", feature = "etcd-v3"))]
    pub(crate) fn complete(&self, mut address: registry_address::Address) -> Result<registry_address::Address> {
        if !address.tls && self.insecure_transport.of("ETCDCTL_INSECURE_TRANSPORT")? == Some(false) {
            let (secure, plain) = (address.secure_scheme(), address.scheme());
            return Err(Error::config(format!(
                "the variable ETCDCTL_INSECURE_TRANSPORT asks for TLS, and the servers are named without: write `{secure}://` instead \
                 of `{plain}://` (in ETCDCTL_ENDPOINTS `https://`), or unset it"
            )));
        }
        if address.tls && self.skip_verify.of("ETCDCTL_INSECURE_SKIP_TLS_VERIFY")? == Some(true) {
            return Err(Error::config(
                "the variable ETCDCTL_INSECURE_SKIP_TLS_VERIFY is true, and certificates are always verified: unset it, and name who \
                 signed the server's by ETCDCTL_CACERT or `ca`, and another name in it by `server_name`",
            ));
        }
        if self.has_token && address.user.is_none() && self.user.is_none() {
            return Err(Error::config(
                "the variable ETCDCTL_AUTH_JWT_TOKEN is set, and a token from elsewhere cannot be used: unset it, and give \
                 ETCDCTL_USER and ETCDCTL_PASSWORD",
            ));
        }
        if address.tls {
            address.ca = address.ca.take().or_else(|| self.ca.clone());
            if address.cert.is_none() && address.key.is_none() {
                (address.cert, address.key) = (self.cert.clone(), self.key.clone());
            }
        }
        if address.user.is_none() && address.password.is_none() && address.password_file.is_none() {
            (address.user, address.password) = (self.user.clone(), self.password.clone());
        }
        Ok(address)
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
        assert_eq!(url("unix:///run/e.sock", None).unwrap(), "etcd://unix:%2Frun%2Fe%2Esock");
        assert_eq!(url("unixs:///run/e.sock", Some("etcd-v2://x")).unwrap(), "etcd-v2s://unix:%2Frun%2Fe%2Esock");
        assert!(url("unix://e:m0", None).unwrap_err().to_string().contains("ETCDCTL_ENDPOINTS"));
        assert_eq!(url("h", Some("etcds://x?ca=/ca.pem")).unwrap(), "etcds://h?ca=/ca.pem", "TLS stays, and its keys");
    }

    #[test]
    fn speaks_tls_where_it_is_asked_for() {
        let url = |endpoints, transport| {
            environment(&[("ETCDCTL_ENDPOINTS", endpoints), ("ETCDCTL_INSECURE_TRANSPORT", transport)]).url(None)
        };
        assert_eq!(url("h1,h2", "false").unwrap().unwrap(), "etcds://h1,h2");
        assert_eq!(url("h1", "true").unwrap().unwrap(), "etcd://h1");
        assert!(url("h1", "no").unwrap_err().to_string().contains("ETCDCTL_INSECURE_TRANSPORT is neither"));
    }

    /// A variable that changes what is safe is honoured, or it is an error that names it.
    #[test]
    fn refuses_what_it_cannot_do() {
        for (variable, value, url, refused) in [
            ("ETCDCTL_INSECURE_TRANSPORT", "false", "etcd://h", true),
            ("ETCDCTL_INSECURE_TRANSPORT", "false", "etcds://h", false),
            ("ETCDCTL_INSECURE_TRANSPORT", "true", "etcds://h", false),
            ("ETCDCTL_INSECURE_SKIP_TLS_VERIFY", "true", "etcds://h", true),
            ("ETCDCTL_INSECURE_SKIP_TLS_VERIFY", "odd", "etcds://h", true),
            ("ETCDCTL_INSECURE_SKIP_TLS_VERIFY", "false", "etcds://h", false),
            ("ETCDCTL_INSECURE_SKIP_TLS_VERIFY", "true", "etcd://h", false),
            ("ETCDCTL_AUTH_JWT_TOKEN", "canary", "etcd://h", true),
            ("ETCDCTL_AUTH_JWT_TOKEN", "canary", "etcd://me:password@h", false),
        ] {
            let address = Address::parse(&ETCD, url).unwrap();
            match (environment(&[(variable, value)]).complete(address), refused) {
                (Ok(_), false) => {}
                (Err(error), true) => {
                    assert_eq!(error.kind(), registry_core::ErrorKind::Config, "{error}");
                    assert!(error.to_string().contains(variable) && !error.to_string().contains("canary"), "{error}");
                }
                (result, _) => panic!("{variable}={value} {url}: {result:?}"),
            }
        }
        let discovery = environment(&[("ETCDCTL_DISCOVERY_SRV", "example.org"), ("CONSUL_HTTP_ADDR", "h")]);
        for like in [None, Some("etcd://h"), Some("sqlite:")] {
            let error = discovery.url(like).unwrap_err().to_string();
            assert!(error.contains("ETCDCTL_DISCOVERY_SRV"), "{error}");
        }
        assert_eq!(discovery.url(Some("consul://x")).unwrap().unwrap(), "consul://h");
    }

    #[test]
    fn completes_what_the_url_does_not_say() {
        let variables = [("ETCDCTL_USER", "me:canary"), ("ETCDCTL_CACERT", "/ca.pem"), ("ETCDCTL_DIAL_TIMEOUT", "2s")];
        let environment = environment(&variables);
        let address = environment.complete(Address::parse(&ETCD, "etcds://h").unwrap()).unwrap();
        assert_eq!((address.user.as_deref(), &address.password), (Some("me"), &Some("canary".into())));
        assert_eq!(address.ca.as_deref(), Some(std::path::Path::new("/ca.pem")));
        assert!(!format!("{environment:?}").contains("canary"));
        let address = environment.complete(Address::parse(&ETCD, "etcd://you:mine@h").unwrap()).unwrap();
        assert_eq!((address.user.as_deref(), address.password), (Some("you"), Some("mine".into())), "the URL wins");
        assert_eq!(address.ca, None, "what would not be used is not taken over");
    }
}
