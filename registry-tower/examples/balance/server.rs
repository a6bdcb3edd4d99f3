//! A gRPC server that registers itself: the health service of the gRPC project, which says in a header who answered.

use std::sync::Arc;
use std::time::Duration;

use registry::{Codec, Dir, Instance, Json, RegisterOptions, Registration, Registry, RegistryExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server as Transport;
use tower::util::MapResponseLayer;

pub(crate) type Failed = Box<dyn std::error::Error + Send + Sync>;

/// The header that says who answered.
pub(crate) const WHO: &str = "x-server";

/// A server that runs and is registered.
pub(crate) struct Server {
    registration: Option<Registration>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Server {
    /// Listens first, then registers: who is found can be reached.
    pub(crate) async fn start(registry: &Arc<dyn Registry>, dir: &Dir, name: &str) -> Result<Self, Failed> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let who = http::HeaderValue::from_str(name)?;
        let (stop, stopped) = oneshot::channel();
        let (_, health) = tonic_health::server::health_reporter();
        let serve = Transport::builder()
            .layer(MapResponseLayer::new(move |mut response: http::Response<tonic::body::Body>| {
                response.headers_mut().insert(WHO, who.clone());
                response
            }))
            .serve_with_incoming_shutdown(health, TcpListenerStream::new(listener), async {
                // An error means that the other end was dropped, which stops it as well.
                let _ = stopped.await;
            });
        let task = tokio::spawn(serve);
        let (key, instance) = (dir.key(name)?, Instance::new(address.ip().to_string(), address.port())?);
        let value = Json.encode(&key.name(), &instance)?;
        let options = RegisterOptions::new().ttl(Duration::from_secs(3));
        let registration = registry.announce(key, value, options).await?;
        Ok(Self { registration: Some(registration), stop, task })
    }

    /// Takes its name back, serves for as long as clients may take to hear of it, finishes what it has, and stops: nobody
    /// notices.
    pub(crate) async fn stop(mut self, serve_for: Duration) -> Result<(), Failed> {
        if let Some(registration) = self.registration.take() {
            registration.deregister().await?;
        }
        tokio::time::sleep(serve_for).await;
        drop(self.stop);
        self.task.await??;
        Ok(())
    }
}
