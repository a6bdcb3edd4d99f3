//! One TCP connection under a gRPC channel, and what is known about it: whether it is open, whether the server has sent
//! anything, and since when requests are unanswered.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::transport::Endpoint;
use tower::Service;

/// What is known about one connection. Shared by the stream, which reports what it sees, and by its users.
pub(super) struct Wire {
    phase: watch::Sender<Phase>,
    /// The first byte that the server has sent.
    first: OnceLock<u8>,
    made: Instant,
    /// When the first request was sent after the last byte was received, in milliseconds since `made`, plus one; 0 when
    /// there was none.
    waiting_since: AtomicU64,
    /// How many bytes were written.
    written: AtomicU64,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    Connecting,
    /// TCP is connected; the server has sent nothing yet.
    Open,
    /// The server has sent something.
    Speaking,
    Lost(Loss),
}

/// Why a connection gets no more requests.
#[derive(Clone, Copy, Debug)]
pub(super) enum Loss {
    Closed,
    /// The server announced that it takes no more requests here (GOAWAY).
    GoingAway,
    /// Nothing was received for this long although requests were waiting.
    Silent(Duration),
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the connection was closed"),
            Self::GoingAway => f.write_str("the server takes no more requests on this connection"),
            Self::Silent(time) => write!(f, "the server has sent nothing for {time:?} while requests were waiting"),
        }
    }
}

impl Wire {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            phase: watch::Sender::new(Phase::Connecting),
            first: OnceLock::new(),
            made: Instant::now(),
            waiting_since: AtomicU64::new(0),
            written: AtomicU64::new(0),
        })
    }

    pub(super) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Waits until the server has sent something; returns the first byte of it. `None` when it ended before.
    pub(super) async fn first_byte(&self) -> Option<u8> {
        self.reached(|phase| matches!(phase, Phase::Speaking | Phase::Lost(_))).await;
        self.first.get().copied()
    }

    /// Waits until the connection can no longer be used.
    pub(super) async fn lost(&self) -> Loss {
        match self.reached(|phase| matches!(phase, Phase::Lost(_))).await {
            Phase::Lost(loss) => loss,
            _ => Loss::Closed,
        }
    }

    async fn reached(&self, wanted: impl Fn(&Phase) -> bool) -> Phase {
        // The sender is in `self`, so this does not fail.
        self.phase.subscribe().wait_for(wanted).await.map_or(Phase::Lost(Loss::Closed), |phase| *phase)
    }

    /// Marks the connection as unusable. The first reason counts.
    pub(super) fn lose(&self, loss: Loss) {
        self.advance(Phase::Lost(loss), |phase| !matches!(phase, Phase::Lost(_)));
    }

    fn advance(&self, to: Phase, from: impl Fn(&Phase) -> bool) {
        self.phase.send_if_modified(|phase| {
            let advances = from(phase);
            if advances {
                *phase = to;
            }
            advances
        });
    }

    /// A request is about to be sent.
    pub(super) fn asked(&self) {
        let now = 1 + u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        // It is the oldest unanswered request that counts.
        let _ = self.waiting_since.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// How many bytes were written.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::SeqCst)
    }

    /// For how long nothing has been received although a request was sent.
    pub(super) fn silent_for(&self) -> Duration {
        match self.waiting_since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => self.made.elapsed().saturating_sub(Duration::from_millis(since - 1)),
        }
    }

    fn received(&self, first: u8) {
        self.waiting_since.store(0, Ordering::Relaxed);
        if self.first.set(first).is_ok() {
            self.advance(Phase::Speaking, |phase| matches!(phase, Phase::Open));
        }
    }
}

/// Connects once. A channel of tonic reconnects by itself, in the middle of a request and without a pause; here a connection
/// that is gone is reported instead, and the request goes to another server.
pub(super) struct ConnectOnce {
    tcp: HttpConnector,
    wire: Arc<Wire>,
    used: bool,
}

impl ConnectOnce {
    /// With the TCP settings of `endpoint`; several addresses of one name share the time `limit`.
    pub(super) fn new(endpoint: &Endpoint, limit: Duration, wire: Arc<Wire>) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(limit));
        tcp.set_nodelay(endpoint.get_tcp_nodelay());
        tcp.set_keepalive(endpoint.get_tcp_keepalive());
        tcp.set_keepalive_interval(endpoint.get_tcp_keepalive_interval());
        tcp.set_keepalive_retries(endpoint.get_tcp_keepalive_retries());
        Self { tcp, wire, used: false }
    }
}

impl Service<Uri> for ConnectOnce {
    type Response = TokioIo<Watched>;
    type Error = tower::BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let wire = Arc::clone(&self.wire);
        if std::mem::replace(&mut self.used, true) {
            wire.lose(Loss::GoingAway);
            return std::future::ready(Err("the connection can no longer be used".into())).boxed();
        }
        let connecting = self.tcp.call(uri);
        async move {
            let stream = connecting.await?.into_inner();
            wire.advance(Phase::Open, |phase| matches!(phase, Phase::Connecting));
            Ok(TokioIo::new(Watched { stream, wire }))
        }
        .boxed()
    }
}

/// A stream that reports to its [`Wire`] what it receives, and its end.
pub(super) struct Watched {
    stream: TcpStream,
    wire: Arc<Wire>,
}

impl Watched {
    fn wrote(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(count)) = polled {
            self.wire.written.fetch_add(count as u64, Ordering::SeqCst);
        }
        polled
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.wire.lose(Loss::Closed);
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Some(first) = buffer.filled().get(before) {
            self.wire.received(*first);
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.wrote(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
