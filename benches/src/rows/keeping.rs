//! Target 5, second half: one process that keeps 10,000 registrations alive.

use std::fs;
use std::time::{Duration, Instant};

use registry::{Dir, RegisterOptions, Registration, RegistryExt};
use rustix::time::{ClockId, clock_gettime};
use test_servers::http;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;

use crate::Result;
use crate::bench::Bench;
use crate::harness::{Limit, OURS, Section, Unit};
use crate::stores::{Kind, Store};

const TTL: Duration = Duration::from_secs(15);
const SIDE_BY_SIDE: usize = 128;
const SOON: Duration = Duration::from_secs(30);

/// What it costs.
struct Kept {
    connections: u32,
    /// Streams that began while nothing but renewals happened.
    opened: f64,
    share: f64,
    memory: f64,
}

pub(super) async fn measure(bench: &Bench) -> Result<Section> {
    let target =
        "10,000 registrations of one process on etcd v3, TTL 15 s: one keep-alive stream, at most 5 % of a core";
    let mut section = Section::new("Keeping", target);
    let count = bench.rounds(10_000, 1_000);
    let span = Duration::from_secs(if bench.quick { 5 } else { 15 });
    // On one thread, as the program does it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let Kept { connections, opened, share, memory } =
        spawn_blocking(move || runtime.block_on(keep(count, span))).await??;
    let case = |what: &str| format!("{count} registrations: {what}");
    section.value(case("connections"), Unit::Count, Limit::AtMost(1.0), OURS, f64::from(connections));
    let what = format!("keep-alive streams opened in {} s", span.as_secs());
    section.value(case(&what), Unit::Count, Limit::AtMost(1.0), OURS, opened);
    section.value(case("share of a core"), Unit::Percent, Limit::AtMost(5.0), OURS, share);
    section.value(case("resident memory for them"), Unit::Mebibytes, Limit::None, OURS, memory);
    Ok(section)
}

async fn keep(count: usize, span: Duration) -> Result<Kept> {
    let store = Store::start(Kind::EtcdV3).await?;
    let port = store.port().ok_or("etcd has a port")?;
    // The server has one to itself.
    let (before, others) = (resident()?, connections(port)?);
    let kept = announce(&store, count).await?;
    // Past the first renewal of all of them.
    sleep(TTL / 3).await;
    let (streams, cpu, begun) = (started(port).await?, cpu_time(), Instant::now());
    sleep(span).await;
    let share = cpu_time().saturating_sub(cpu).as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0;
    let opened = started(port).await? - streams;
    let held = kept.iter().filter(|registration| registration.status().held().is_some()).count();
    if held < count {
        return Err(format!("{held} of {count} registrations are held").into());
    }
    let connections = u32::try_from(connections(port)? - others)?;
    let memory = resident()? - before;
    // Giving back ten thousand entries one by one takes longer than the server that ends here.
    drop(store);
    drop(kept);
    Ok(Kept { connections, opened, share, memory })
}

async fn announce(store: &Store, count: usize) -> Result<Vec<Registration>> {
    let (registry, dir) = (registry::connect(&store.url(None))?, Dir::new("/keeping")?);
    let mut options = RegisterOptions::new().ttl(TTL);
    options.own_watch = registry::OwnWatch::None;
    let (mut tasks, mut kept) = (JoinSet::new(), Vec::new());
    for number in 0..count {
        let (registry, key) = (registry.clone(), dir.key(&format!("m{number}"))?);
        tasks.spawn(async move { registry.announce(key, "10.0.0.7:80", options).await });
        if tasks.len() >= SIDE_BY_SIDE {
            kept.push(tasks.join_next().await.ok_or("there are tasks")???);
        }
    }
    while let Some(registration) = tasks.join_next().await {
        kept.push(registration??);
    }
    Ok(kept)
}

/// The time that all threads of this process have computed.
fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// Of this process, in MiB.
fn resident() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("the kernel tells no VmRSS")?;
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes / 1024.0)
}

/// How many connections lead from this machine to the port.
fn connections(port: u16) -> Result<usize> {
    let table = fs::read_to_string("/proc/net/tcp")?;
    let remote = format!(":{port:04X}");
    let is_one = |line: &&str| {
        let mut fields = line.split_whitespace().skip(2);
        fields.next().is_some_and(|address| address.ends_with(&remote)) && fields.next() == Some("01")
    };
    Ok(table.lines().filter(is_one).count())
}

/// How many keep-alive streams the server has seen begin.
async fn started(port: u16) -> Result<f64> {
    let (_, metrics) = http::request(SOON, port, "GET", "/metrics", "").await?;
    let is_it = |line: &&str| line.starts_with("grpc_server_started_total{") && line.contains("\"LeaseKeepAlive\"");
    Ok(metrics.lines().find(is_it).and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default())
}
