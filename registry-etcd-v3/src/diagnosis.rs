//! What a server speaks that does not answer as an etcd does.

use std::io::ErrorKind;
use std::time::Duration;

use registry_address::{Address, Route};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::dial::dial;
use crate::error::Failure;

/// A server that is asked for a diagnosis is near, for it has just hung up.
const LIMIT: Duration = Duration::from_millis(500);
/// What a client of HTTP/2 says first, and an empty frame of settings.
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Explains why a server hung up that was never heard before: the HTTP library only reports a broken connection.
pub(crate) async fn diagnose(address: &Address, route: Option<Route>, failure: Failure) -> Failure {
    if !address.tls {
        return match route {
            Some(route) => without_tls(&route, failure).await,
            None => failure,
        };
    }
    // In TLS 1.3 a server refuses a client's certificate when the client believes itself connected.
    failure.with_hint(match address.cert {
        Some(_) => "does it accept our certificate?",
        None => "does it want a client's certificate, as `cert` and `key`?",
    })
}

/// Greets the server once more, and looks at the first bytes of its answer.
async fn without_tls(route: &Route, failure: Failure) -> Failure {
    match timeout(LIMIT, first_bytes(route)).await {
        Ok(Ok(first)) => match name(first) {
            Some(hint) => failure.not_etcd(hint),
            None => failure,
        },
        // So does an etcd that wants TLS, and a proxy whose server is down.
        Ok(Err(error)) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
            failure.with_hint("it hangs up without a word: does it want TLS, as in `etcds://`?")
        }
        _ => failure,
    }
}

async fn first_bytes(route: &Route) -> std::io::Result<[u8; 5]> {
    let mut stream = dial(route).await?;
    stream.write_all(GREETING).await?;
    let mut first = [0; 5];
    stream.read_exact(&mut first).await?;
    Ok(first)
}

fn name(first: [u8; 5]) -> Option<&'static str> {
    match first {
        [b'H', b'T', b'T', b'P', b'/'] => Some("it speaks HTTP/1: is it an etcd?"),
        // A TLS alert.
        [0x15, 0x03, ..] => Some("it wants TLS: write `etcds://` instead of `etcd://`"),
        // A frame of settings, as every server of HTTP/2 begins.
        [_, _, _, 0x04, _] => None,
        _ => Some("is it an etcd?"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_usual_mistakes() {
        assert!(name(*b"HTTP/").is_some_and(|name| name.contains("HTTP/1")));
        assert!(name([0x15, 3, 1, 0, 2]).is_some_and(|name| name.contains("TLS")));
        assert!(name(*b"SSH-2").is_some());
        assert_eq!(name([0, 0, 6, 4, 0]), None);
    }
}
