//! Where the agents are, and who we are.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use registry_address::{Address, Scheme, Secret};
use registry_core::{Error, Result};
use registry_credentials::warn_if_exposed;
use registry_http::{Endpoints, Identity};

use crate::catalog::Catalog;
use crate::client::Client;
use crate::kv::Kv;
use crate::paths::encode;

/// The header of the token.
const TOKEN: &str = "x-consul-token";
/// An agent that has too many connections from one address resets every further one, without a word.
const LOST: &str = " (an agent also does that to all beyond 200 connections from one address: \
                    `limits.http_max_conns_per_client`)";

/// The URLs of services in the catalog: `consul://`, and `consuls://` for TLS.
pub const CATALOG: Scheme = Scheme { plain: "consul", secure: "consuls", port: 8500 };

/// The URLs of keys and sessions: `consul-kv://`, and `consul-kvs://` for TLS.
pub const KV: Scheme = Scheme { plain: "consul-kv", secure: "consul-kvs", port: 8500 };

/// How Consul is reached, and as whom.
///
/// Its `Debug` never shows the token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The agents, the prefix, the TLS files and the time limits. Consul knows no users: who we are is the token.
    pub address: Address,
    /// The token of the access control list.
    pub token: Option<Secret>,
    /// A file that holds the token instead. It is read again when it has changed, and when the server refuses the token.
    pub token_file: Option<PathBuf>,
    /// The datacenter; the agent's own when not given.
    pub datacenter: Option<String>,
}

impl From<Address> for Config {
    fn from(address: Address) -> Self {
        Self { address, token: None, token_file: None, datacenter: None }
    }
}

impl Config {
    /// Reads `consul-kv://h1:8500,h2:8500/prefix`, or `consul-kvs://…` for TLS, with the keys that are explained at
    /// [`Address`] and `token_file`, `datacenter` (or `dc`) and `tls=true`. Reads no file.
    ///
    /// # Errors
    /// `Config`; the message names the part that is wrong, and never holds a secret.
    pub fn from_uri(scheme: &'static Scheme, uri: &str) -> Result<Self> {
        let (place, query) = uri.split_once('?').unwrap_or((uri, ""));
        let nobody = || {
            Error::config(
                "Consul has no users and no passwords: name a file with the token by `token_file`, or set CONSUL_HTTP_TOKEN",
            )
        };
        if place.split_once("://").is_some_and(|(_, rest)| rest.contains('@')) {
            return Err(nobody());
        }
        let (mut token_file, mut datacenter, mut tls, mut rest) = (None, None, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let place = match key {
                "token_file" => &mut token_file,
                "datacenter" | "dc" => &mut datacenter,
                "tls" => &mut tls,
                "token" => return Err(Error::config("a token does not belong into a URL: use `token_file`")),
                "user" | "password_file" => {
                    return Err(Error::config(format!("Consul has no users: instead of `{key}`, use `token_file`")));
                }
                _ => {
                    rest.push(pair);
                    continue;
                }
            };
            let value = percent_decode_str(value).decode_utf8();
            let value = value.map_err(|_| Error::config(format!("`{key}` in the URL is not UTF-8")))?;
            if value.is_empty() {
                return Err(Error::config(format!("`{key}` is empty")));
            }
            if place.replace(value.into_owned()).is_some() {
                return Err(Error::config(format!("`{key}` is given twice")));
            }
        }
        let place = match tls.as_deref() {
            Some("true") => place.replacen(&format!("{}://", scheme.plain), &format!("{}://", scheme.secure), 1),
            Some("false") if !place.starts_with(scheme.secure) => place.to_owned(),
            None => place.to_owned(),
            Some(_) => return Err(Error::config("`tls` is `true`, or `false` when the scheme says nothing else")),
        };
        let address = Address::parse(scheme, &format!("{place}?{}", rest.join("&")));
        // A `?` in a password ends the place too early; what is wrong with the rest would show the half of it.
        let mut config = Self::from(address.map_err(|error| if uri.contains('@') { nobody() } else { error })?);
        config.token_file = token_file.map(PathBuf::from);
        config.datacenter = datacenter;
        Ok(config)
    }

    /// Sets the token.
    pub fn token(mut self, token: impl Into<Secret>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Names the file that holds the token.
    pub fn token_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.token_file = Some(file.into());
        self
    }

    /// Sets the datacenter.
    pub fn datacenter(mut self, name: impl Into<String>) -> Self {
        self.datacenter = Some(name.into());
        self
    }

    fn identity(&self) -> Result<Option<Identity>> {
        match (&self.token, &self.token_file) {
            (Some(_), Some(_)) => Err(Error::config("a token and `token_file` are both given; keep one")),
            (Some(token), None) => Identity::token(TOKEN, token.clone()).map(Some),
            (None, Some(file)) => Identity::token_file(TOKEN, file.clone()).map(Some),
            (None, None) => Ok(None),
        }
    }

    pub(crate) fn client(&self) -> Result<Client> {
        let Self { address, datacenter, .. } = self;
        address.check()?;
        if address.user.is_some() {
            return Err(Error::config("Consul has no users: use a token"));
        }
        let identity = self.identity()?;
        if identity.is_some() {
            warn_if_exposed(address, "the token");
        }
        let datacenter = datacenter.as_ref().map(|name| format!("dc={}", encode(name))).unwrap_or_default();
        Ok(Client::new(Endpoints::new(address, identity, LOST)?, datacenter))
    }
}

/// Prepares a registry of services in the catalog. Reads the files that the configuration names and makes no connection:
/// whether a server answers shows at the first call.
///
/// # Errors
/// `Config`, naming the file or the setting.
pub fn connect(config: impl Into<Config>) -> Result<Catalog> {
    let config = config.into();
    Ok(Catalog::new(config.address.scheme(), &config.address.prefix, config.client()?))
}

/// Prepares a registry of keys that sessions hold. Reads the files that the configuration names and makes no connection:
/// whether a server answers shows at the first call.
///
/// # Errors
/// `Config`, naming the file or the setting.
pub fn connect_kv(config: impl Into<Config>) -> Result<Kv> {
    let config = config.into();
    Ok(Kv::new(config.address.scheme(), config.address.prefix.clone(), config.client()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(uri: &str) -> Result<Config> {
        Config::from_uri(&KV, uri)
    }

    #[test]
    fn reads_a_whole_url() {
        let config = parse("consul-kv://h1,h2:1/pre/fix?token_file=/run/t&dc=east&timeout=1s").unwrap();
        assert_eq!(config.address.endpoints, ["h1:8500", "h2:1"]);
        assert_eq!((config.address.prefix.as_str(), config.address.tls), ("/pre/fix", false));
        assert_eq!(config.token_file, Some("/run/t".into()));
        assert_eq!(config.datacenter.as_deref(), Some("east"));
        assert!(parse("consul-kvs://h?ca=/ca.pem").unwrap().address.tls);
        assert!(parse("consul-kv://h?tls=true&ca=/ca.pem").unwrap().address.tls);
        assert!(!parse("consul-kv://h?tls=false").unwrap().address.tls);
    }

    #[test]
    fn says_what_is_wrong_and_never_the_secret() {
        for (uri, expected) in [
            ("consul-kv://:canary@h", "token_file"),
            ("consul-kv://canary@h", "token_file"),
            ("consul-kv://u:canary?x@h/", "token_file"),
            ("consul-kv://h?x=canary@h/", "token_file"),
            ("consul-kv://h?token=canary", "token_file"),
            ("consul-kv://h?user=canary", "token_file"),
            ("consul-kv://h?tls=canary", "`true`"),
            ("consul-kvs://h?tls=false", "`true`"),
            ("consul-kv://h?dc=", "empty"),
            ("consul-kv://h?dc=a&datacenter=b", "twice"),
            ("consul-kv://h?cerd=x", "did you mean `cert`"),
            ("consul-kv://h?ca=x", "consul-kvs://"),
            ("http://h", "consul-kvs://"),
        ] {
            let error = parse(uri).expect_err(uri);
            assert_eq!(error.kind(), registry_core::ErrorKind::Config, "{uri}");
            assert!(error.to_string().contains(expected), "{uri}: {error}");
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }

    #[test]
    fn a_token_comes_from_one_place_and_is_never_shown() {
        let config = parse("consul-kv://h").unwrap().token("canary");
        let shown = format!("{config:?} {:?}", config.client().unwrap());
        assert!(!shown.contains("canary"), "{shown}");
        let both = config.token_file("/run/t").client().unwrap_err().to_string();
        assert!(both.contains("keep one"), "{both}");
        let missing = parse("consul-kv://h?token_file=/nowhere/t").unwrap().client().unwrap_err().to_string();
        assert!(missing.contains("/nowhere/t"), "{missing}");
        let odd = parse("consul-kv://h").unwrap().token("can\nary").client().unwrap_err().to_string();
        assert!(odd.contains("characters") && !odd.contains("ary\""), "{odd}");
    }
}
