//! Requests a second through one channel to two servers: that of this crate, beside the balanced channel of tonic.
//!
//! `cargo run --release -p registry-tower --features tonic --example throughput [SECONDS]`; a fifth of a second for each row
//! without an argument. Servers and callers share the machine.

use std::time::{Duration, Instant};

use registry::{Catalogue, Codec, Dir, Instance, Json, RegisterOptions, RegistryExt};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::transport::channel::Change;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

type Failed = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let seconds = std::env::args().nth(1).map_or(Ok(0.2), |seconds| seconds.parse())?;
    let time = Duration::from_secs_f64(seconds);
    let directory = tempfile::tempdir()?;
    let registry = registry::connect(&format!("sqlite://{}/registry.db", directory.path().display()))?;
    let dir = Dir::new("/examples/throughput")?;
    let (of_tonic, changes) = tonic::transport::Channel::balance_channel(2);
    let mut registrations = Vec::new();
    for name in ["one", "two"] {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (_, health) = tonic_health::server::health_reporter();
        let server = tonic::transport::Server::builder().add_service(health);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        let key = dir.key(name)?;
        let value = Json.encode(&key.name(), &Instance::new("127.0.0.1", address.port())?)?;
        registrations.push(registry.announce(key, value, RegisterOptions::new()).await?);
        let endpoint = registry_tower::endpoint(&address.to_string()).ok_or("an invalid address")?;
        changes.send(Change::Insert(name, endpoint)).await?;
    }
    let ours = registry_tower::channel(Catalogue::follow(&registry, &dir, Json));
    println!("{:>8} {:>16} {:>16}", "callers", "tonic, per s", "this, per s");
    for callers in [1, 8, 64, 256] {
        // Each twice and in turn, so that neither has the better half of the time.
        let (mut tonic, mut this) = (0.0, 0.0);
        for _ in 0..2 {
            tonic += rate(&of_tonic, callers, time / 2).await? / 2.0;
            this += rate(&ours, callers, time / 2).await? / 2.0;
        }
        println!("{callers:>8} {tonic:>16.0} {this:>16.0}");
    }
    for registration in registrations {
        registration.deregister().await?;
    }
    Ok(())
}

async fn rate<C>(channel: &C, callers: usize, time: Duration) -> Result<f64, Failed>
where
    C: GrpcService<Body> + Clone + Send + 'static,
    C::Future: Send,
    C::Error: Into<Failed>,
    C::ResponseBody: tonic::codegen::Body<Data = tonic::codegen::Bytes> + Send + 'static,
    <C::ResponseBody as tonic::codegen::Body>::Error: Into<Failed> + Send,
{
    // The connections are made.
    HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await?;
    let began = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let mut client = HealthClient::new(channel.clone());
            tokio::spawn(async move {
                let mut answered = 0_u32;
                while began.elapsed() < time {
                    client.check(HealthCheckRequest::default()).await?;
                    answered += 1;
                }
                Ok::<_, tonic::Status>(answered)
            })
        })
        .collect();
    let mut answered = 0;
    for task in tasks {
        answered += task.await??;
    }
    Ok(f64::from(answered) / began.elapsed().as_secs_f64())
}
