//! The smallest HTTP client there is, as an independent witness of what a server says.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{Error, Result};

/// Sends one request to a port of loopback, with a form as its body (empty: none), and returns the status and the body.
/// Version 1.0 of the protocol, so the answer is neither chunked nor kept open. Fails when `limit` is over.
pub async fn request(limit: Duration, port: u16, method: &str, path: &str, form: &str) -> Result<(u16, String)> {
    let header = "Content-Type: application/x-www-form-urlencoded\r\n";
    request_with(limit, port, method, path, header, form).await
}

/// The same with other headers, each with its end of line, and any body.
pub async fn request_with(
    limit: Duration,
    port: u16,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Result<(u16, String)> {
    let what = format!("{method} http://127.0.0.1:{port}{path}");
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    );
    let exchange = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = tokio::time::timeout(limit, exchange)
        .await
        .map_err(|_| Error::new(format!("{what}: no answer within {limit:?}")))?
        .map_err(Error::because::<std::io::Error>(&what))?;
    parse(&answer).ok_or_else(|| Error::new(format!("{what}: this is not HTTP: {answer:?}")))
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}
