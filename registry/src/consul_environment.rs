//! The variables of Consul's own tools.

use std::ffi::OsString;
use std::path::PathBuf;

use registry_address::Secret;
use registry_core::{Error, Result};

/// What they say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConsulEnvironment {
    /// It may be a URL in which a password stands.
    address: Option<Secret>,
    token: Option<Secret>,
    token_file: Option<PathBuf>,
    ca: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl ConsulEnvironment {
    /// Takes the variable `CONSUL_{name}`, if it is one of those that count.
    ///
    /// # Errors
    /// `Config`, naming the variable whose value is not UTF-8; never its value.
    pub(crate) fn take(&mut self, name: &str, value: OsString) -> Result<()> {
        let text = |value: OsString| {
            let problem = || Error::config(format!("the variable CONSUL_{name} is not UTF-8"));
            value.into_string().map_err(|_| problem())
        };
        match name {
            "HTTP_ADDR" => self.address = Some(text(value)?.into()),
            "HTTP_TOKEN" => self.token = Some(text(value)?.into()),
            "HTTP_TOKEN_FILE" => self.token_file = Some(value.into()),
            "CACERT" => self.ca = Some(value.into()),
            "CLIENT_CERT" => self.cert = Some(value.into()),
            "CLIENT_KEY" => self.key = Some(value.into()),
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
    /// `Config` for a socket of this machine, which cannot be used.
    pub(crate) fn url(&self, like: Option<&str>) -> Result<Option<String>> {
        let Some(address) = self.address.as_ref().map(Secret::reveal) else { return Ok(None) };
        let (secure, host) = match address.split_once("://") {
            Some(("http", host)) => (false, host),
            Some(("https", host)) => (true, host),
            Some(_) => {
                return Err(Error::config(
                    "the variable CONSUL_HTTP_ADDR names neither `http://` nor `https://`: nothing else can be used",
                ));
            }
            None => (false, address),
        };
        let (scheme, rest) = like.and_then(|url| url.split_once("://")).unwrap_or_default();
        let prefix = if scheme.starts_with("consul") { rest.find('/').map_or("", |at| &rest[at..]) } else { "" };
        let scheme = match (scheme.starts_with("consul-kv"), secure) {
            (true, true) => "consul-kvs",
            (true, false) => "consul-kv",
            (false, true) => "consuls",
            (false, false) => "consul",
        };
        Ok(Some(format!("{scheme}://{}{prefix}", host.trim_end_matches('/'))))
    }

    /// Adds what the configuration does not say: certificates when it speaks TLS, and the token.
    #[cfg(feature = "consul")]
    pub(crate) fn complete(&self, mut config: registry_consul::Config) -> registry_consul::Config {
        let address = &mut config.address;
        if address.tls {
            address.ca = address.ca.take().or_else(|| self.ca.clone());
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
        config
    }
}

#[cfg(all(test, feature = "consul"))]
mod tests {
    use registry_consul::{CATALOG, Config};

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
        assert!(url("unix:///run/consul.sock", None).unwrap_err().to_string().contains("CONSUL_HTTP_ADDR"));
        let both = environment(&[("CONSUL_HTTP_ADDR", "h"), ("ETCDCTL_ENDPOINTS", "e")]);
        assert_eq!(both.url(None).unwrap().unwrap(), "etcd://e");
        assert_eq!(both.url(Some("consul-kv://x")).unwrap().unwrap(), "consul-kv://h");
    }

    #[test]
    fn completes_what_the_url_does_not_say() {
        let variables = [("CONSUL_HTTP_TOKEN", "canary"), ("CONSUL_CACERT", "/ca.pem"), ("CONSUL_HTTP_SSL", "true")];
        let environment = environment(&variables);
        assert!(!format!("{environment:?}").contains("canary"));
        let parse = |url| Config::from_uri(&CATALOG, url).unwrap();
        let config = environment.complete_consul(parse("consuls://h"));
        assert_eq!((config.token, config.address.ca), (Some("canary".into()), Some("/ca.pem".into())));
        let config = environment.complete_consul(parse("consul://h?token_file=/t"));
        assert_eq!((config.token, config.address.ca), (None, None), "the URL wins, and what is not used is not taken");
        let file = [("CONSUL_HTTP_TOKEN", "canary"), ("CONSUL_HTTP_TOKEN_FILE", "/file")];
        let config = Environment::new(file).unwrap().complete_consul(parse("consul://h"));
        assert_eq!((config.token, config.token_file), (None, Some("/file".into())), "as Consul's own tools read them");
    }
}
