//! Hosts and ports as text.

use std::net::{IpAddr, Ipv6Addr};

use registry_core::Result;

use super::invalid;

/// The longest host name, in bytes, and the longest part of it.
const MAX_HOST: usize = 253;
const MAX_PART: usize = 63;

/// Splits `host:port`. Digits only: what a server, a URL or a resolver would read in another way is refused.
pub(super) fn split(authority: &str, default_port: Option<u16>) -> Result<(String, u16)> {
    let refused = |rule: &str| invalid(format!("the address {:?} is not valid: {rule}", shown(authority)));
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or_else(|| refused("the bracket is not closed"))?;
        if host.parse::<Ipv6Addr>().is_err() {
            return Err(refused("what stands in brackets is not an IP address of version 6"));
        }
        match port.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if port.is_empty() => (host, None),
            None => return Err(refused("after the bracket comes `:` and a port")),
        }
    } else {
        match authority.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err(refused("it has several `:`; write an IP address of version 6 in brackets"));
            }
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    let port = match port {
        None => default_port.ok_or_else(|| refused("it has no port"))?,
        Some(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().map_err(|_| refused("its port is above 65535"))?
        }
        Some(_) => return Err(refused("its port is not a number")),
    };
    Ok((host.to_owned(), port))
}

/// The opposite of [`split`].
pub(super) fn join(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// An IP address or a host name.
pub(super) fn check(host: &str) -> Result<()> {
    if host.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    let refused = |rule: &str| Err(invalid(format!("the address {:?} is not valid: {rule}", shown(host))));
    if host.len() > MAX_HOST {
        return refused(&format!("it has {} bytes, and {MAX_HOST} are allowed", host.len()));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    for part in host.split('.') {
        if part.is_empty() || part.len() > MAX_PART || part.starts_with('-') || !part.bytes().all(allowed) {
            return refused("it is no IP address, and a host name has letters, digits, `-` and `_` between its dots");
        }
    }
    // A resolver would read `300.1` or `10.1` as a number, and each in its own way.
    match host.rsplit('.').next() {
        Some(last) if last.bytes().all(|byte| byte.is_ascii_digit()) => {
            refused("it ends like an IP address and is none")
        }
        _ => Ok(()),
    }
}

/// What is shown of a hostile text.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}
