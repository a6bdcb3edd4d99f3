//! A connection to one server that has shown that it speaks HTTP/2.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use http_body::{Frame, SizeHint};
use registry::Bytes;
use tokio::time::timeout;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::Service;

use super::failure::{Failure, Fate, chain};
use super::pool::Member;
use super::wire::{ConnectOnce, Loss, Phase, Wire};

/// How long a connection may take if its endpoint has no limit of its own.
pub(super) const CONNECT: Duration = Duration::from_secs(3);

/// A connection that requests are sent on.
pub(super) struct Connection {
    pub(super) member: Arc<Member>,
    channel: Channel,
    pub(super) wire: Arc<Wire>,
    /// For how long the server may send nothing while requests are waiting.
    silence_limit: Duration,
    /// One clone for each request whose response has not ended.
    requests: Arc<()>,
}

impl Connection {
    /// Connects, and waits until the server has sent the first frame: that it accepts a connection says only that its kernel
    /// is alive.
    pub(super) async fn open(
        member: Arc<Member>,
        endpoint: &Endpoint,
        silence_limit: Duration,
    ) -> Result<Self, String> {
        let limit = endpoint.get_connect_timeout().unwrap_or(CONNECT);
        let wire = Wire::new();
        let open = async {
            let connect_once = ConnectOnce::new(endpoint, limit, Arc::clone(&wire));
            let channel = endpoint.connect_with_connector(connect_once).await.map_err(|error| chain(&error))?;
            // With TLS the handshake has shown that the server is alive.
            if endpoint.uri().scheme_str() != Some("https") {
                match wire.first_byte().await {
                    // The first byte of a SETTINGS frame. HTTP/1, TLS and text protocols begin otherwise.
                    Some(0) => {}
                    Some(_) => return Err("it does not speak HTTP/2 without TLS".to_owned()),
                    None => return Err("it closed the connection before it had sent anything".to_owned()),
                }
            }
            Ok(channel)
        };
        let opened = timeout(limit, open).await;
        let channel = opened.unwrap_or_else(|_| match wire.phase() {
            Phase::Connecting => Err(format!("no connection within {limit:?}")),
            _ => Err(format!("it accepted the connection and sent nothing within {limit:?}")),
        })?;
        Ok(Self { member, channel, wire, silence_limit, requests: Arc::new(()) })
    }

    /// How many requests are on it.
    pub(super) fn load(&self) -> usize {
        Arc::strong_count(&self.requests)
    }

    /// Whether requests may be sent on it. A connection that has been silent for too long is lost from here on.
    pub(super) fn usable(&self) -> bool {
        let silent = self.wire.silent_for();
        if silent >= self.silence_limit {
            self.wire.lose(Loss::Silent(silent));
        }
        !matches!(self.wire.phase(), Phase::Lost(_))
    }

    /// Sends a request, and returns when the response has begun.
    pub(super) async fn send(&self, request: Request<Body>) -> Result<Response<Body>, Failure> {
        let requests = Arc::clone(&self.requests);
        let mut channel = self.channel.clone();
        if let Err(error) = poll_fn(|context| channel.poll_ready(context)).await {
            return Err(self.failed(Failure::unsent(error)));
        }
        let before = self.wire.written();
        self.wire.asked();
        match channel.call(request).await {
            Ok(response) => Ok(response.map(|body| Body::new(Counted { body, _requests: requests }))),
            Err(error) => Err(self.failed(Failure::new(error, self.wire.written() != before))),
        }
    }

    /// Takes a broken connection out of use, so that no other request fails on it.
    fn failed(&self, failure: Failure) -> Failure {
        match failure.fate {
            Fate::Unprocessed => self.wire.lose(Loss::GoingAway),
            Fate::Unknown => self.wire.lose(Loss::Closed),
            Fate::Refused | Fate::Late | Fate::Failed => {}
        }
        failure
    }
}

/// The body of a response; its request counts until it has ended.
struct Counted {
    body: Body,
    _requests: Arc<()>,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
