//! Where one node's REST API is.

use std::fmt;
use std::net::Ipv6Addr;

use reqwest::Url;

/// The root of one node's REST API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Base(Url);

impl Base {
    /// The node that announced `address`: a host or IP address, with a port or without. The rest is as in the
    /// configured URL. The address comes from outside, and decides where the password goes: what the URL's parser
    /// would read in another way than it looks is refused.
    pub(super) fn of(configured: &Url, address: &str) -> Result<Self, String> {
        let wrong = || format!("{address:?} is not the address of a node");
        let (host, port) = split(address).ok_or_else(wrong)?;
        let mut url = configured.clone();
        url.set_host(Some(&host)).map_err(|_| wrong())?;
        if let Some(port) = port {
            url.set_port(Some(port)).map_err(|()| wrong())?;
        }
        match url.host_str() {
            Some(parsed) if parsed.eq_ignore_ascii_case(&host) => Ok(Self(url)),
            _ => Err(wrong()),
        }
    }

    /// The host as Couchbase names it: without brackets.
    pub(super) fn host(&self) -> String {
        self.0.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned()
    }

    pub(super) fn at(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(path);
        url
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.0.port_or_known_default().unwrap_or_default();
        write!(f, "{}:{port}", self.0.host_str().unwrap_or_default())
    }
}

/// `host`, `host:port`, an IPv6 address, or one in brackets with or without a port.
fn split(address: &str) -> Option<(String, Option<u16>)> {
    if let Ok(ip) = address.parse::<Ipv6Addr>() {
        return Some((format!("[{ip}]"), None));
    }
    if let Some(rest) = address.strip_prefix('[') {
        let (ip, after) = rest.split_once(']')?;
        let ip = ip.parse::<Ipv6Addr>().ok()?;
        let port = match after.strip_prefix(':') {
            Some(digits) => Some(number(digits)?),
            None if after.is_empty() => None,
            None => return None,
        };
        return Some((format!("[{ip}]"), port));
    }
    let (host, port) = match address.split_once(':') {
        Some((host, digits)) => (host, Some(number(digits)?)),
        None => (address, None),
    };
    let plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-');
    (!host.is_empty() && plain).then(|| (host.to_owned(), port))
}

fn number(digits: &str) -> Option<u16> {
    let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?;
    number.filter(|&port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_where_the_address_says() {
        let configured = Url::parse("http://localhost:8091").unwrap();
        for (address, shown, host) in [
            ("10.0.0.1", "10.0.0.1:8091", "10.0.0.1"),
            ("10.0.0.1:9000", "10.0.0.1:9000", "10.0.0.1"),
            ("Node-1.example", "node-1.example:8091", "node-1.example"),
            ("fe80::1", "[fe80::1]:8091", "fe80::1"),
            ("[fe80::1]", "[fe80::1]:8091", "fe80::1"),
            ("[fe80::1]:80", "[fe80::1]:80", "fe80::1"),
        ] {
            let base = Base::of(&configured, address).unwrap();
            assert_eq!((base.to_string(), base.host()), (shown.into(), host.into()));
            assert_eq!(base.at("/pools/default").path(), "/pools/default");
        }
        for address in
            ["", ":80", "a:", "a:0", "a:+1", "a:99999", "a/b", "u@a", "a b", "[fe80::1", "[a]", "0x7f.1", "1"]
        {
            assert!(Base::of(&configured, address).is_err(), "{address:?}");
        }
    }
}
