//! The variables of Consul's own tools.

use std::ffi::OsString;
use std::path::PathBuf;

use registry_address::Secret;
use registry_core::{Error, Result};

use crate::variables::{Switch, around_hosts, socket, text};

/// What they say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConsulEnvironment {
    /// It may be a URL in which a password stands.
    address: Option<Secret>,
    token: Option<Secret>,
    token_file: Option<PathBuf>,
    ca: Option<PathBuf>,
    ca_path: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    server_name: Option<String>,
    ssl: Switch,
    verify: Switch,
    /// User and password of a proxy.
    has_auth: bool,
    namespace: Option<String>,
    partition: Option<String>,
}

impl ConsulEnvironment {
    /// Takes the variable `CONSUL_{name}`, if it is one of those that count.
    ///
    /// # Errors
    /// `Config`, naming the variable whose value is not UTF-8; never its value.
    pub(crate) fn take(&mut self, name: &str, value: OsString) -> Result<()> {
        let text = |value: OsString| text(&format!("CONSUL_{name}"), value);
        match name {
            "HTTP_ADDR" => self.address = Some(text(value)?.into()),
            "HTTP_TOKEN" => self.token = Some(text(value)?.into()),
            "HTTP_TOKEN_FILE" => self.token_file = Some(value.into()),
            "HTTP_SSL" => self.ssl = Switch::read(&value),
            "HTTP_SSL_VERIFY" => self.verify = Switch::read(&value),
            "HTTP_AUTH" => self.has_auth = true,
            "CACERT" => self.ca = Some(value.into()),
            "CAPATH" => self.ca_path = Some(value.into()),
            "CLIENT_CERT" => self.cert = Some(value.into()),
            "CLIENT_KEY" => self.key = Some(value.into()),
            "TLS_SERVER_NAME" => self.server_name = Some(text(value)?),
            "NAMESPACE" => self.namespace = Some(text(value)?),
            "PARTITION" => self.partition = Some(text(value)?),
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn has_address(&self) -> bool {
        self.address.is_some()
    }

    /// The URL of the agent, if one is named: with the scheme's kind and the prefix of `like`, if that is one of Consul.
    ///
    /// # Errors
    /// `Config` for an address that cannot be used.
    pub(crate) fn url(&self, like: Option<&str>) -> Result<Option<String>> {
        const ADDRESS: &str = "CONSUL_HTTP_ADDR";
        let Some(address) = self.address.as_ref().map(Secret::reveal) else { return Ok(None) };
        let (scheme, rest) =
            like.map(around_hosts).filter(|(scheme, _)| scheme.starts_with("consul")).unwrap_or_default();
        let (secure, host) = match address.split_once("://") {
            Some(("http", host)) => (false, host.trim_end_matches('/').to_owned()),
            Some(("https", host)) => (true, host.trim_end_matches('/').to_owned()),
            Some(("unix", path)) => (false, socket(ADDRESS, path)?),
            Some(_) => {
                return Err(Error::config(format!(
                    "the variable {ADDRESS} names none of `http://`, `https://` and `unix://`: nothing else can be used"
                )));
            }
            // A URL with TLS does not lose it to a variable that says nothing of it.
            None => (scheme.ends_with('s'), address.trim_end_matches('/').to_owned()),
        };
        // As Consul's own tools: TLS that was asked for is not taken back by `http://`.
        let secure = secure || self.ssl.of("CONSUL_HTTP_SSL")? == Some(true);
        let scheme = match (scheme.starts_with("consul-kv"), secure) {
            (true, true) => "consul-kvs",
            (true, false) => "consul-kv",
            (false, true) => "consuls",
            (false, false) => "consul",
        };
        Ok(Some(format!("{scheme}://{host}{rest}")))
    }

    /// Adds what the configuration does not say: certificates when it speaks TLS, and the token.
    ///
    /// # Errors
    /// `Config`, naming a variable that asks for what is not done: it must not seem to be in force.
    #[cfg(feature = "consul")]
    pub(crate) fn complete(&self, mut config: registry_consul::Config) -> Result<registry_consul::Config> {
        self.refuse(&config.address)?;
        let address = &mut config.address;
        if address.tls {
            // As Consul's own tools: the file wins.
            let ca = self.ca.clone().or_else(|| self.ca_path.clone());
            address.ca = address.ca.take().or(ca);
            address.server_name = address.server_name.take().or_else(|| self.server_name.clone());
            if address.cert.is_none() && address.key.is_none() {
                (address.cert, address.key) = (self.cert.clone(), self.key.clone());
            }
        }
        if config.token.is_none() && config.token_file.is_none() {
            // As Consul's own tools read them: the file wins.
            config.token_file.clone_from(&self.token_file);
            if config.token_file.is_none() {
                config.token.clone_from(&self.token);
            }
        }
        Ok(config)
    }

    #[cfg(feature = "consul")]
    fn refuse(&self, address: &registry_address::Address) -> Result<()> {
        if !address.tls && self.ssl.of("CONSUL_HTTP_SSL")? == Some(true) {
            let (secure, plain) = (address.secure_scheme(), address.scheme());
            return Err(Error::config(format!(
                "the variable CONSUL_HTTP_SSL asks for TLS, and the URL says no: write `{secure}://` instead of `{plain}://`, or unset it"
            )));
        }
        if address.tls && self.verify.of("CONSUL_HTTP_SSL_VERIFY")? == Some(false) {
            return Err(Error::config(
                "the variable CONSUL_HTTP_SSL_VERIFY is false, and certificates are always verified: unset it, and name who signed \
                 the server's by CONSUL_CACERT or `ca`, and another name in it by CONSUL_TLS_SERVER_NAME or `server_name`",
            ));
        }
        if self.has_auth {
            return Err(Error::config(
                "the variable CONSUL_HTTP_AUTH is set, and a user and a password for a proxy cannot be sent: unset it, and use the \
                 agent's own address",
            ));
        }
        for (variable, value) in [("CONSUL_NAMESPACE", &self.namespace), ("CONSUL_PARTITION", &self.partition)] {
            if value.as_ref().is_some_and(|value| value != "default") {
                return Err(Error::config(format!(
                    "the variable {variable} names one other than `default`, and those of Consul Enterprise cannot be used: unset it"
                )));
            }
        }
        Ok(())
    }
}

#[cfg(all(test, feature = "consul"))]
mod tests {
    use registry_consul::{CATALOG, Config, KV};

    use crate::Environment;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::new(variables.iter().copied()).unwrap()
    }

    #[test]
    fn names_the_agent_as_consul_reads_it() {
        let url = |address, like| environment(&[("CONSUL_HTTP_ADDR", address)]).url(like).map(Option::unwrap);
        assert_eq!(url("h:8500", None).unwrap(), "consul://h:8500");
        assert_eq!(url("https://h:8501/", Some("consul-kv://x/pre/fix")).unwrap(), "consul-kvs://h:8501/pre/fix");
        assert_eq!(url("http://h", Some("consul://x/team")).unwrap(), "consul://h/team");
        assert_eq!(url("http://h", Some("etcd://x/team")).unwrap(), "consul://h");
        assert_eq!(url("unix:///run/consul.sock", None).unwrap(), "consul://unix:%2Frun%2Fconsul%2Esock");
        for odd in ["unix://run/consul.sock", "ftp://h"] {
            assert!(url(odd, None).unwrap_err().to_string().contains("CONSUL_HTTP_ADDR"), "{odd}");
        }
        let both = environment(&[("CONSUL_HTTP_ADDR", "h"), ("ETCDCTL_ENDPOINTS", "e")]);
        assert_eq!(both.url(None).unwrap().unwrap(), "etcd://e");
        assert_eq!(both.url(Some("consul-kv://x")).unwrap().unwrap(), "consul-kv://h");
        // A file in a key of the URL is no prefix.
        assert_eq!(url("h", Some("consul-kv://x?token_file=/t")).unwrap(), "consul-kv://h?token_file=/t");
    }

    #[test]
    fn speaks_tls_where_it_is_asked_for() {
        let url = |address, ssl, like| {
            environment(&[("CONSUL_HTTP_ADDR", address), ("CONSUL_HTTP_SSL", ssl)]).url(like).map(Option::unwrap)
        };
        for address in ["h:8501", "http://h:8501", "https://h:8501"] {
            for ssl in ["true", "1", "T"] {
                assert_eq!(url(address, ssl, None).unwrap(), "consuls://h:8501", "{address} {ssl}");
            }
        }
        assert_eq!(url("h", "false", None).unwrap(), "consul://h");
        assert_eq!(url("https://h", "false", None).unwrap(), "consuls://h");
        assert_eq!(url("h", "false", Some("consul-kvs://x/p")).unwrap(), "consul-kvs://h/p", "the file's TLS stays");
        assert!(url("h", "yes", None).unwrap_err().to_string().contains("CONSUL_HTTP_SSL is neither"));
    }

    /// A variable that changes what is safe is honoured, or it is an error that names it.
    #[test]
    fn refuses_what_it_cannot_do() {
        for (variable, value, url, refused) in [
            ("CONSUL_HTTP_SSL", "true", "consul://h", true),
            ("CONSUL_HTTP_SSL", "odd", "consul://h", true),
            ("CONSUL_HTTP_SSL", "true", "consuls://h", false),
            ("CONSUL_HTTP_SSL", "false", "consuls://h", false),
            ("CONSUL_HTTP_SSL_VERIFY", "false", "consuls://h", true),
            ("CONSUL_HTTP_SSL_VERIFY", "0", "consul-kvs://h", true),
            ("CONSUL_HTTP_SSL_VERIFY", "true", "consuls://h", false),
            ("CONSUL_HTTP_SSL_VERIFY", "false", "consul://h", false),
            ("CONSUL_HTTP_AUTH", "me:canary", "consul://h", true),
            ("CONSUL_NAMESPACE", "team", "consul://h", true),
            ("CONSUL_NAMESPACE", "default", "consul://h", false),
            ("CONSUL_PARTITION", "part", "consul-kv://h", true),
            ("CONSUL_PARTITION", "default", "consul-kv://h", false),
        ] {
            let scheme = if url.starts_with("consul-kv") { &KV } else { &CATALOG };
            let config = Config::from_uri(scheme, url).unwrap();
            match (environment(&[(variable, value)]).complete_consul(config), refused) {
                (Ok(_), false) => {}
                (Err(error), true) => {
                    assert_eq!(error.kind(), registry_core::ErrorKind::Config, "{error}");
                    assert!(error.to_string().contains(variable) && !error.to_string().contains("canary"), "{error}");
                }
                (result, _) => panic!("{variable}={value} {url}: {result:?}"),
            }
        }
    }

    #[test]
    fn completes_what_the_url_does_not_say() {
        let variables = [
            ("CONSUL_HTTP_TOKEN", "canary"),
            ("CONSUL_CACERT", "/ca.pem"),
            ("CONSUL_CAPATH", "/ca.d"),
            ("CONSUL_TLS_SERVER_NAME", "server.dc1.consul"),
        ];
        let environment = environment(&variables);
        assert!(!format!("{environment:?}").contains("canary"));
        let parse = |url| Config::from_uri(&CATALOG, url).unwrap();
        let config = environment.complete_consul(parse("consuls://h")).unwrap();
        assert_eq!((config.token, config.address.ca), (Some("canary".into()), Some("/ca.pem".into())));
        assert_eq!(config.address.server_name.as_deref(), Some("server.dc1.consul"));
        let config = environment.complete_consul(parse("consuls://h?server_name=mine")).unwrap();
        assert_eq!(config.address.server_name.as_deref(), Some("mine"), "the URL wins");
        let config = environment.complete_consul(parse("consul://h?token_file=/t")).unwrap();
        assert_eq!((config.token, config.address.ca), (None, None), "the URL wins, and what is not used is not taken");
        assert_eq!(config.address.server_name, None);
        // A socket has no name; the variable gives it one.
        let config = environment.complete_consul(parse("consuls://unix:%2Frun%2Fconsul.sock")).unwrap();
        assert_eq!(config.address.server_name.as_deref(), Some("server.dc1.consul"));
        let file = [("CONSUL_HTTP_TOKEN", "canary"), ("CONSUL_HTTP_TOKEN_FILE", "/file"), ("CONSUL_CAPATH", "/ca.d")];
        let config = Environment::new(file).unwrap().complete_consul(parse("consuls://h")).unwrap();
        assert_eq!((config.token, config.token_file), (None, Some("/file".into())), "as Consul's own tools read them");
        assert_eq!(config.address.ca, Some("/ca.d".into()));
    }
}
