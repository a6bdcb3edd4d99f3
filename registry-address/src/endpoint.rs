//! Endpoints as text: `host:port`, and `[address]:port` for IPv6.

use std::net::Ipv6Addr;

use registry_core::{Error, Result};

/// Makes `host:port` from what a URL says, with the default port when it names none.
pub(crate) fn complete(text: &str, port: u16) -> Result<String> {
    let after_host = text.rfind(']').map_or(text, |at| &text[at + 1..]);
    let endpoint = if after_host.contains(':') { text.to_owned() } else { format!("{text}:{port}") };
    check(&endpoint)?;
    Ok(endpoint)
}

/// Checks one `host:port`.
pub(crate) fn check(endpoint: &str) -> Result<()> {
    let wrong = |why: &str| {
        let shown: String = endpoint.chars().take(80).collect();
        Err(Error::config(format!("the endpoint {shown:?} is not valid: {why}")))
    };
    let Some((host, port)) = endpoint.rsplit_once(':') else {
        return wrong("it needs a port, such as `127.0.0.1:2379`");
    };
    if !port.bytes().all(|byte| byte.is_ascii_digit()) || port.parse::<u16>().ok().is_none_or(|port| port == 0) {
        return wrong("the port is not a number from 1 to 65535");
    }
    if let Some(address) = host.strip_prefix('[') {
        return match address.strip_suffix(']').map(str::parse::<Ipv6Addr>) {
            Some(Ok(_)) => Ok(()),
            _ => wrong("an IPv6 address stands in brackets, as in `[::1]:2379`"),
        };
    }
    if host.contains(':') {
        return wrong("an IPv6 address stands in brackets, as in `[::1]:2379`");
    }
    if host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)) {
        return wrong("the host is not a name or an address");
    }
    Ok(())
}

/// The host of a checked `host:port`, without brackets.
pub fn host(endpoint: &str) -> &str {
    endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host).trim_matches(['[', ']'])
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
    fn refuses_what_is_no_endpoint() {
        for text in ["", ":2379", "h:", "h:0", "h:65536", "h:+1", "::1", "[::1", "[h]:1", "a b:1", "a/b:1", "u@h:1"] {
            let error = complete(text, 1).expect_err(text);
            assert_eq!(error.kind(), registry_core::ErrorKind::Config, "{text}");
        }
    }
}
