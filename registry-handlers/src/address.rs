//! Addresses in names and values.

use std::net::{IpAddr, Ipv6Addr};

use serde::Serialize;

/// The longest host name that the domain name system allows.
const MAX_HOST: usize = 253;

/// A host, and the port if there is one. Both were checked, so they can stand in any configuration file as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Address {
    /// A host name or an IP address; an IPv6 address without brackets.
    pub(crate) host: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<u16>,
}

impl Address {
    /// Reads `host:port`, `1.2.3.4:port`, `[::1]:port`, and an IP address alone (bare or in brackets). A bare word is no
    /// address: every name would be one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Some(Self { host: ip.to_string(), port: None });
        }
        if let Some(rest) = text.strip_prefix('[') {
            let (ip, after) = rest.split_once(']')?;
            let host = ip.parse::<Ipv6Addr>().ok()?.to_string();
            let port = if after.is_empty() { None } else { Some(port(after.strip_prefix(':')?)?) };
            return Some(Self { host, port });
        }
        let (host, digits) = text.rsplit_once(':')?;
        Some(Self { host: is_host_name(host).then(|| host.to_owned())?, port: Some(port(digits)?) })
    }

    /// The address as an IP address; `None` for a host name.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// As servers and URLs want it: `host:port`, IPv6 in brackets.
    pub(crate) fn joined(&self) -> String {
        let v6 = self.host.contains(':');
        let (open, close) = if v6 { ("[", "]") } else { ("", "") };
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{open}{}{close}{port}", self.host)
    }
}

/// Letters, digits, `-`, `_` and dots between non-empty labels. `_` is not allowed by the standard, but containers are
/// called so.
pub(crate) fn is_host_name(text: &str) -> bool {
    text.len() <= MAX_HOST
        && text.split('.').all(|label| {
            label.starts_with(|first: char| first.is_ascii_alphanumeric())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        })
}

/// 1 to 65535, digits only: `u16::from_str` would also take a leading `+`.
fn port(digits: &str) -> Option<u16> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|&port: &u16| plain && port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(String, Option<u16>)> {
        Address::parse(text).map(|address| (address.host, address.port))
    }

    #[test]
    fn reads_addresses() {
        for (text, host, port) in [
            ("10.0.0.9:3306", "10.0.0.9", Some(3306)),
            ("10.0.0.9", "10.0.0.9", None),
            ("db-1.example:80", "db-1.example", Some(80)),
            ("my_container:1", "my_container", Some(1)),
            ("[fe80::1]:80", "fe80::1", Some(80)),
            ("[::1]", "::1", None),
            ("::1", "::1", None),
        ] {
            assert_eq!(parsed(text), Some((host.to_owned(), port)), "{text}");
        }
    }

    #[test]
    fn refuses_what_only_looks_like_one() {
        let long = format!("{}:80", "a".repeat(300));
        for text in [
            "",
            "node1",
            "host:container:3306",
            "a:0",
            "a:65536",
            "a:+1",
            "a:",
            ":80",
            "[::1]80",
            "[x]:80",
            "a b:80",
            "-a:80",
            "a..b:80",
            "a;}:80",
            "a\n:80",
            "[10.0.0.1]:80",
            &long,
        ] {
            assert_eq!(parsed(text), None, "{text:?}");
        }
    }

    #[test]
    fn joins_what_it_parsed() {
        for text in ["10.0.0.9:3306", "[fe80::1]:80", "[::1]", "a.b:1", "10.0.0.1"] {
            assert_eq!(Address::parse(text).unwrap().joined(), text);
        }
    }
}
