//! Endpoints as text: `host:port`, `[address]:port` for IPv6, and `unix:/path` for a socket of this machine.

use std::net::Ipv6Addr;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use registry_core::{Error, Result};

/// How an endpoint that is a socket of this machine begins.
const UNIX: &str = "unix:";
/// What the kernel takes as the path of a socket, without the byte that ends it.
const SOCKET_MAX: usize = 107;

/// What an endpoint names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A name or an address, without brackets, and a port.
    Host(String, u16),
    /// A socket of this machine.
    Socket(PathBuf),
}

/// Makes an endpoint from what a URL says, with the default port when it names none. In a URL the path of a socket is encoded
/// (`unix:%2Frun%2Fetcd.sock`), as is the `%` before a zone (RFC 6874).
pub(crate) fn complete(text: &str, port: u16) -> Result<String> {
    if let Some(path) = text.strip_prefix(UNIX)
        && (path.is_empty() || path.starts_with('%'))
    {
        let path = percent_decode_str(path).decode_utf8();
        let path = path.map_err(|_| Error::config("the path of a socket in the URL is not UTF-8"))?;
        let endpoint = format!("{UNIX}{path}");
        check(&endpoint)?;
        return Ok(endpoint);
    }
    let text = if text.starts_with('[') { text.replacen("%25", "%", 1) } else { text.to_owned() };
    let after_host = text.rfind(']').map_or(text.as_str(), |at| &text[at + 1..]);
    let endpoint = if after_host.contains(':') { text } else { format!("{text}:{port}") };
    check(&endpoint)?;
    Ok(endpoint)
}

/// Checks one endpoint.
pub(crate) fn check(endpoint: &str) -> Result<()> {
    target(endpoint).map(drop)
}

/// What an endpoint names, if it is one.
pub(crate) fn target(endpoint: &str) -> Result<Target> {
    let wrong = |why: &str| {
        let shown: String = endpoint.chars().take(80).collect();
        Err(Error::config(format!("the endpoint {shown:?} is not valid: {why}")))
    };
    if let Some(path) = endpoint.strip_prefix(UNIX)
        && (path.is_empty() || path.starts_with('/'))
    {
        return match path {
            "" | "/" => wrong("write the path of the socket encoded, as in `unix:%2Frun%2Fetcd.sock`"),
            _ if path.len() > SOCKET_MAX => wrong("the path of a socket has at most 107 bytes"),
            _ if path.contains(char::is_control) => wrong("its path holds a control character"),
            _ => Ok(Target::Socket(path.into())),
        };
    }
    let Some((host, port)) = endpoint.rsplit_once(':') else {
        return wrong("it needs a port, such as `127.0.0.1:2379`");
    };
    let number = port.parse::<u16>().ok().filter(|port| *port > 0);
    let Some(number) = number.filter(|_| port.bytes().all(|byte| byte.is_ascii_digit())) else {
        return wrong("the port is not a number from 1 to 65535");
    };
    if let Some(inside) = host.strip_prefix('[') {
        let Some(inside) = inside.strip_suffix(']') else {
            return wrong("an IPv6 address stands in brackets, as in `[::1]:2379`");
        };
        let (address, zone) = split_zone(inside);
        if address.parse::<Ipv6Addr>().is_err() {
            return wrong("an IPv6 address stands in brackets, as in `[::1]:2379`");
        }
        if zone.is_some_and(|zone| !is_zone(zone)) {
            return wrong(
                "after the `%` comes the zone: the name or number of a network interface, as in `[fe80::1%eth0]:2379`",
            );
        }
        return Ok(Target::Host(inside.to_owned(), number));
    }
    if host.contains(':') {
        return wrong("an IPv6 address stands in brackets, as in `[::1]:2379`");
    }
    if !is_name(host) {
        return wrong("the host is not a name or an address");
    }
    Ok(Target::Host(host.to_owned(), number))
}

/// An IPv6 address and its zone.
pub(crate) fn split_zone(host: &str) -> (&str, Option<&str>) {
    host.split_once('%').map_or((host, None), |(address, zone)| (address, Some(zone)))
}

fn is_zone(zone: &str) -> bool {
    !zone.is_empty() && zone.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

/// Whether this can be the name of a host, or an IPv4 address.
pub(crate) fn is_name(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

/// The host of a checked endpoint, without brackets and zone; for a socket of this machine `localhost`.
pub fn host(endpoint: &str) -> &str {
    if endpoint.starts_with("unix:/") {
        return "localhost";
    }
    let host = endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host).trim_matches(['[', ']']);
    split_zone(host).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_the_port_that_is_missing() {
        for (text, endpoint) in [("h1", "h1:2379"), ("h1:1", "h1:1"), ("[::1]", "[::1]:2379"), ("[::1]:5", "[::1]:5")] {
            assert_eq!(complete(text, 2379).unwrap(), endpoint);
        }
        assert_eq!((host("[::1]:5"), host("h1:2379")), ("::1", "h1"));
    }

    #[test]
    fn reads_zones_and_sockets() {
        for text in ["[fe80::1%25eth0]", "[fe80::1%eth0]", "[fe80::1%25eth0]:2379"] {
            assert_eq!(complete(text, 2379).unwrap(), "[fe80::1%eth0]:2379");
        }
        assert_eq!(host("[fe80::1%eth0]:2379"), "fe80::1");
        assert_eq!(complete("unix:%2Frun%2Fa,b.sock", 2379).unwrap(), "unix:/run/a,b.sock");
        assert_eq!(target("unix:/run/etcd.sock").unwrap(), Target::Socket("/run/etcd.sock".into()));
        assert_eq!(target("unix:2379").unwrap(), Target::Host("unix".into(), 2379), "a host of that name");
    }

    #[test]
    fn refuses_what_is_no_endpoint() {
        for text in [
            "",
            ":2379",
            "h:",
            "h:0",
            "h:65536",
            "h:+1",
            "::1",
            "[::1",
            "[h]:1",
            "a b:1",
            "a/b:1",
            "u@h:1",
            "[::1%]:1",
            "[::1%25]:1",
            "[::1%a/b]:1",
            "[127.0.0.1%lo]:1",
            "unix:",
            "unix:%2F",
            "unix:%2Fa%00",
            "unix:%2Fa%0a",
        ] {
            let error = complete(text, 1).map_or_else(|error| error, |endpoint| panic!("{text} is {endpoint}"));
            assert_eq!(error.kind(), registry_core::ErrorKind::Config, "{text}");
        }
        let long = format!("unix:%2F{}", "a".repeat(107));
        assert!(complete(&long, 1).unwrap_err().to_string().contains("107"));
    }
}
