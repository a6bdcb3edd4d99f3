//! `scheme://user:password@h1:2379,h2:2379/prefix?ca=…` and what it means.

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use registry_core::{Error, Result};

use crate::address::{Address, Scheme};
use crate::endpoint;

const KEYS: [&str; 7] = ["ca", "cert", "key", "server_name", "user", "password_file", "timeout"];

impl Address {
    /// Reads a URL of this scheme. Reads no file; checks all that can be known without, but for a password that is missing:
    /// it may come from elsewhere. [`check`](Self::check) finds that out.
    ///
    /// # Errors
    /// `Config`; the message names the part that is wrong, and never holds the password.
    pub fn parse(scheme: &'static Scheme, uri: &str) -> Result<Self> {
        let (rest, tls) = match uri.split_once("://") {
            Some((name, rest)) if name == scheme.plain => (rest, false),
            Some((name, rest)) if name == scheme.secure => (rest, true),
            // Without the scheme there is no telling which part is a password, so nothing is shown.
            _ => {
                let Scheme { plain, secure, .. } = scheme;
                return Err(Error::config(format!("this URL begins with `{plain}://`, or with `{secure}://` for TLS")));
            }
        };
        let mut config = Self::new(scheme, [""; 0]);
        config.tls = tls;
        if rest.contains('#') {
            return Err(Error::config("the URL has no fragment: write `%23` for a `#`"));
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = place.find('/').map_or((place, ""), |at| place.split_at(at));
        let hosts = match authority.rsplit_once('@') {
            Some((who, hosts)) => {
                config.take_user(who)?;
                hosts
            }
            None => authority,
        };
        config.endpoints =
            hosts.split(',').map(|host| endpoint::complete(host, scheme.port)).collect::<Result<_>>().map_err(
                |error| {
                    // A `/` or `?` in a password ends the authority too early; what looks like a host is then half the password.
                    let torn = !authority.contains('@') && rest.contains('@');
                    if torn {
                        Error::config("percent-encode the user and the password: `/` is %2F, `?` is %3F")
                    } else {
                        error
                    }
                },
            )?;
        config.prefix = decoded(path.strip_suffix('/').unwrap_or(path), "the prefix")?;
        config.take_query(query)?;
        config.check_servers()?;
        Ok(config)
    }

    fn take_user(&mut self, who: &str) -> Result<()> {
        let (user, password) = match who.split_once(':') {
            Some((user, password)) => (user, Some(decoded(password, "the password")?)),
            None => (who, None),
        };
        self.user = Some(decoded(user, "the user")?);
        self.password = password.map(Into::into);
        Ok(())
    }

    fn take_query(&mut self, query: &str) -> Result<()> {
        let mut seen = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !KEYS.contains(&key) {
                return Err(unknown(key));
            }
            if seen.contains(&key) {
                return Err(Error::config(format!("`{key}` is given twice")));
            }
            seen.push(key);
            let value = decoded(value, key)?;
            if value.is_empty() {
                return Err(Error::config(format!("`{key}` is empty")));
            }
            match key {
                "ca" => self.ca = Some(PathBuf::from(value)),
                "cert" => self.cert = Some(PathBuf::from(value)),
                "key" => self.key = Some(PathBuf::from(value)),
                "server_name" => self.server_name = Some(value),
                "password_file" => self.password_file = Some(PathBuf::from(value)),
                "user" if self.user.is_some() => {
                    return Err(Error::config("a user is given before the `@` and as `user`; keep one"));
                }
                "user" => self.user = Some(value),
                _ => self.request_timeout = duration(&value)?,
            }
        }
        Ok(())
    }
}

fn decoded(text: &str, what: &str) -> Result<String> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(Into::into).map_err(|_| Error::config(format!("{what} in the URL is not UTF-8")))
}

fn duration(text: &str) -> Result<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    match (number.parse(), unit) {
        (Ok(number), "ms") => Ok(Duration::from_millis(number)),
        (Ok(number), "s") => Ok(Duration::from_secs(number)),
        _ => Err(Error::config("`timeout` is not a duration: write `3s` or `500ms`")),
    }
}

fn unknown(key: &str) -> Error {
    let near = KEYS.iter().map(|known| (strsim::jaro_winkler(key, known), known)).max_by(|a, b| a.0.total_cmp(&b.0));
    let shown: String = key.chars().take(40).collect();
    match near {
        Some((likeness, known)) if likeness > 0.8 => {
            Error::config(format!("the URL's key {shown:?} is not known; did you mean `{known}`?"))
        }
        _ => Error::config(format!("the URL's key {shown:?} is not known; known are: {}", KEYS.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETCD: Scheme = Scheme { plain: "etcd", secure: "etcds", port: 2379 };

    #[test]
    fn reads_a_whole_url() {
        let config = Address::parse(&ETCD, "etcd://h1:1,h2,[::1]:3/pre/fix/?timeout=500ms").unwrap();
        assert_eq!(config.endpoints, ["h1:1", "h2:2379", "[::1]:3"]);
        assert_eq!((config.prefix.as_str(), config.tls), ("/pre/fix", false));
        assert_eq!(config.request_timeout, Duration::from_millis(500));

        let config = Address::parse(&ETCD, "etcds://me:p%40ss:x@h?ca=/tmp/a%20b").unwrap();
        assert_eq!((config.prefix.as_str(), config.tls, config.user.as_deref()), ("", true, Some("me")));
        assert_eq!(config.password, Some("p@ss:x".into()));
        assert_eq!(config.ca.as_deref(), Some(std::path::Path::new("/tmp/a b")));
        assert!(!format!("{config:?}").contains("ss:x"));

        let config =
            Address::parse(&ETCD, "etcds://unix:%2Frun%2Fe.sock,[fe80::1%25lo]/a?server_name=etcd.internal").unwrap();
        assert_eq!(config.endpoints, ["unix:/run/e.sock", "[fe80::1%lo]:2379"]);
        assert_eq!((config.prefix.as_str(), config.server_name.as_deref()), ("/a", Some("etcd.internal")));

        let config = Address::parse(&ETCD, "etcd://h/?user=me&password_file=/run/secret").unwrap();
        assert_eq!((config.user.as_deref(), config.prefix.as_str()), (Some("me"), ""));
    }

    #[test]
    fn says_what_is_wrong_and_never_the_password() {
        for (uri, expected) in [
            ("http://h", "etcds://"),
            ("etcd:h", "etcds://"),
            ("etcd://", "endpoint"),
            ("etcd://h,,i", "endpoint"),
            ("etcd://h/a//b", "prefix"),
            ("etcd://h/?pasword_file=x", "did you mean `password_file`"),
            ("etcd://h/?zzz=1", "ca, cert, key"),
            ("etcd://h/?server_name=x", "needs TLS"),
            ("etcd://unix:///run/etcd.sock", "unix:%2F"),
            ("etcds://h/?ca=1&ca=2", "twice"),
            ("etcds://h/?ca=", "empty"),
            ("etcd://h/?timeout=3h", "500ms"),
            ("etcd://h/?timeout=3", "500ms"),
            ("etcd://h/?timeout=99999999999999999999", "500ms"),
            ("etcd://u:canary@h/?password_file=f", "keep one"),
            ("etcd://u:canary@h/?user=v", "keep one"),
            ("etcd://u:canary@h:x/", "endpoint"),
            ("etcd://u:canary%ff@h", "UTF-8"),
            ("etcd://u:canary/x@h", "percent-encode"),
            ("etcd://u:canary?x@h", "percent-encode"),
            ("etcd://h/#f", "fragment"),
            ("etcd://u@h/", "password"),
        ] {
            let error = Address::parse(&ETCD, uri).and_then(|address| address.check()).expect_err(uri);
            assert_eq!(error.kind(), registry_core::ErrorKind::Config, "{uri}");
            assert!(error.to_string().contains(expected), "{uri}: {error}");
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics_and_never_shows_the_password(text in ".*") {
            let _ = Address::parse(&ETCD, &format!("etcd://{text}"));
            if let Err(error) = Address::parse(&ETCD, &format!("etcd://u:canary{text}@h/")) {
                proptest::prop_assert!(!error.to_string().contains("canary"), "{}", error);
            }
        }
    }
}
