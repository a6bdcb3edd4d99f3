//! One request of HTTP 1.0, with the one header that counts.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: String,
}

impl Answer {
    /// A header that is a number.
    pub(super) fn number(&self, header: &str) -> Option<u64> {
        let value = |line: &str| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(header).then(|| value.trim().parse().ok())?
        };
        self.head.lines().find_map(value)
    }
}

/// Fails when the answer is not complete within `limit`.
pub(super) async fn get(endpoint: &str, path: &str, limit: Duration) -> io::Result<Answer> {
    let exchange = async {
        let mut stream = TcpStream::connect(endpoint).await?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {endpoint}\r\n\r\n").as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        io::Result::Ok(answer)
    };
    let answer = timeout(limit, exchange).await??;
    let broken = || io::Error::other("this is not HTTP");
    let text = String::from_utf8(answer).map_err(io::Error::other)?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(broken)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(broken)?;
    let answer = Answer { status, head: head.to_owned(), body: body.to_owned() };
    // What was cut off in the middle is no answer.
    match answer.number("content-length") {
        Some(length) if length != answer.body.len() as u64 => Err(broken()),
        _ => Ok(answer),
    }
}
