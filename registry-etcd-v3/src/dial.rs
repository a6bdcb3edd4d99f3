//! Connecting to one server: its address is known, and what it is called is another matter.

use std::io;
use std::time::Duration;

use etcd_client::TlsOptions;
use hyper_util::rt::TokioIo;
use registry_address::{Route, Server, Servers};
use registry_core::ErrorKind;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::access::Access;
use crate::error::{Answer, Failure, Verdict};

/// Pings find a dead connection below an idle watch. etcd hangs up on a client that sends them more often, and on one
/// that sends them while no request is open.
const PING_EVERY: Duration = Duration::from_secs(5);
const PING_ANSWER: Duration = Duration::from_secs(3);

/// What bytes are read from and written to.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A channel to one server, which connects when it is used. The client library would make one from the text of the endpoint,
/// and leave it to the HTTP library which of its addresses is used.
pub(crate) fn channel(access: &Access, servers: &Servers, at: Server, tls: Option<TlsOptions>) -> Answer<Channel> {
    let unusable = |error: tonic::transport::Error| Failure {
        verdict: Verdict::NotDone,
        ..Failure::from(etcd_client::Error::from(error))
    };
    let Some(route) = servers.route(at) else {
        return Err(Failure::new(ErrorKind::Unavailable, Verdict::NotDone, "its name was not resolved"));
    };
    let protocol = if tls.is_some() { "https" } else { "http" };
    let mut endpoint = Endpoint::from_shared(format!("{protocol}://{}", servers.authority(at)))
        .map_err(unusable)?
        .connect_timeout(access.address.connect_timeout)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_ANSWER)
        .keep_alive_while_idle(false);
    if let Some(tls) = tls {
        endpoint = endpoint.tls_config(tls).map_err(unusable)?;
    }
    let connect = service_fn(move |_: Uri| {
        let route = route.clone();
        async move { dial(&route).await.map(TokioIo::new) }
    });
    Ok(endpoint.connect_with_connector_lazy(connect))
}

/// Connects, and says nothing yet.
pub(crate) async fn dial(route: &Route) -> io::Result<Box<dyn Stream>> {
    Ok(match route {
        Route::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            // A request is smaller than what would be waited for.
            stream.set_nodelay(true)?;
            Box::new(stream)
        }
        Route::Unix(path) => Box::new(UnixStream::connect(path).await?),
    })
}
