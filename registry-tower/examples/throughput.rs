//! Requests a second, and what each costs the processor, through one channel to two servers: that of this crate, beside the
//! balanced channel of tonic.
//!
//! `cargo run --release -p registry-tower --features tonic --example throughput [SECONDS]`; a fifth of a second for each figure
//! without an argument. Servers and callers share the machine.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::ops::AddAssign;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use registry::{Catalogue, Codec, Dir, Instance, Json, RegisterOptions, RegistryExt};
use rustix::time::{ClockId, clock_gettime};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::transport::channel::Change;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// In how many parts each figure is measured.
const SLICES: u32 = 10;

type Failed = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let argument = std::env::args().nth(1);
    if argument.as_deref() == Some("serve") {
        return serve().await;
    }
    let time = Duration::from_secs_f64(argument.map_or(Ok(0.2), |seconds| seconds.parse())?);
    let directory = tempfile::tempdir()?;
    let registry = registry::connect(&format!("sqlite://{}/registry.db", directory.path().display()))?;
    let dir = Dir::new("/examples/throughput")?;
    let (of_tonic, changes) = tonic::transport::Channel::balance_channel(2);
    let mut servers = Vec::new();
    for name in ["one", "two"] {
        let mut server = Command::new(std::env::current_exe()?);
        let mut server = server.arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut address = String::new();
        BufReader::new(server.stdout.as_mut().ok_or("no output")?).read_line(&mut address)?;
        let address: SocketAddr = address.trim().parse()?;
        let key = dir.key(name)?;
        let value = Json.encode(&key.name(), &Instance::new(address.ip().to_string(), address.port())?)?;
        let registration = registry.announce(key, value, RegisterOptions::new()).await?;
        let endpoint = registry_tower::endpoint(&address.to_string()).ok_or("an invalid address")?;
        changes.send(Change::Insert(name, endpoint)).await?;
        servers.push((server, registration));
    }
    let ours = registry_tower::channel(Catalogue::follow(&registry, &dir, Json));
    println!("{:>8} {:>24} {:>24}", "callers", "tonic", "this");
    for callers in [1, 8, 64, 256] {
        // In turn, so that neither has the better part of the time.
        let (mut tonic, mut this) = (Measured::default(), Measured::default());
        for _ in 0..SLICES {
            tonic += measure(&of_tonic, callers, time / SLICES).await?;
            this += measure(&ours, callers, time / SLICES).await?;
        }
        println!("{callers:>8} {tonic:>24} {this:>24}");
    }
    for (mut server, registration) in servers {
        registration.deregister().await?;
        // The end of its input ends it.
        drop(server.stdin.take());
        server.wait()?;
    }
    Ok(())
}

/// A server, in a process of its own.
async fn serve() -> Result<(), Failed> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let (_, health) = tonic_health::server::health_reporter();
    let server = tonic::transport::Server::builder().add_service(health);
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    tokio::select! {
        result = server.serve_with_incoming(TcpListenerStream::new(listener)) => Ok(result?),
        result = ended => Ok(result?.map(drop)?),
    }
}

#[derive(Default)]
struct Measured {
    answered: u32,
    time: Duration,
    /// Of callers and channel.
    processor: Duration,
}

impl AddAssign for Measured {
    fn add_assign(&mut self, more: Self) {
        self.answered += more.answered;
        self.time += more.time;
        self.processor += more.processor;
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answered = f64::from(self.answered);
        let (rate, cost) = (answered / self.time.as_secs_f64(), self.processor.as_secs_f64() / answered * 1e6);
        f.pad(&format!("{rate:.0}/s, {cost:.0} us each"))
    }
}

fn processor() -> Result<Duration, Failed> {
    Ok(clock_gettime(ClockId::ProcessCPUTime).try_into()?)
}

async fn measure<C>(channel: &C, callers: usize, time: Duration) -> Result<Measured, Failed>
where
    C: GrpcService<Body> + Clone + Send + 'static,
    C::Future: Send,
    C::Error: Into<Failed>,
    C::ResponseBody: tonic::codegen::Body<Data = tonic::codegen::Bytes> + Send + 'static,
    <C::ResponseBody as tonic::codegen::Body>::Error: Into<Failed> + Send,
{
    // The connections are made.
    HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await?;
    let (began, before) = (Instant::now(), processor()?);
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
    Ok(Measured { answered, time: began.elapsed(), processor: processor()?.saturating_sub(before) })
}
