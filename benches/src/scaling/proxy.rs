//! What etcd's own proxy saves: as many watchers directly and through `etcd grpc-proxy`.

use std::process::Stdio;
use std::time::Duration;

use etcd_client::{Client, WatchOptions};
use test_servers::{Version, etcd_program, free_port};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::account::{Account, number, used};
use crate::Result;
use crate::stores::{Kind, Store};

const SOON: Duration = Duration::from_secs(30);
/// Linux tells the time of processes in hundredths of a second.
const TICKS: f64 = 100.0;
const DIR: &str = "/proxy/";

/// What a change costs the server, and what the proxy computes for it.
struct Told {
    watchers: f64,
    server_cpu: f64,
    server_bytes: f64,
    proxy_cpu: f64,
}

/// Prints a table.
pub(super) async fn compare(quick: bool) -> Result<()> {
    let (watchers, changes) = if quick { (100, 100) } else { (1_000, 1_000) };
    let store = Store::start(Kind::EtcdV3).await?;
    let port = store.port().ok_or("etcd has a port")?;
    let proxy = Proxy::start(port).await?;
    println!("{watchers} watchers of one directory, for each of {changes} changes:\n");
    println!(
        "| | watchers on the server | CPU of the server, µs | bytes of the server | CPU of the proxy, µs |\n|---|---|---|---|---|"
    );
    for (name, at) in [("directly", port), ("through the proxy", proxy.port)] {
        let told = tell(port, at, &proxy, watchers, changes).await?;
        let Told { watchers, server_cpu, server_bytes, proxy_cpu } = told;
        println!("| {name} | {watchers:.0} | {server_cpu:.0} | {server_bytes:.0} | {proxy_cpu:.0} |");
    }
    Ok(())
}

async fn tell(port: u16, at: u16, proxy: &Proxy, watchers: usize, changes: usize) -> Result<Told> {
    let mut writer = Client::connect([format!("127.0.0.1:{port}")], None).await?;
    let before = Account::read(port).await?.watchers;
    let mut client = Client::connect([format!("127.0.0.1:{at}")], None).await?;
    let mut tasks = JoinSet::new();
    for _ in 0..watchers {
        let mut stream = client.watch(DIR, Some(WatchOptions::new().with_prefix())).await?;
        stream.message().await?;
        tasks.spawn(async move {
            let mut told = 0;
            while told < changes {
                let Some(message) = stream.message().await? else { break };
                told += message.events().len();
            }
            Ok::<usize, crate::Error>(told)
        });
    }
    let counted = Account::read(port).await?.watchers - before;
    let proxy_before = proxy.cpu()?;
    let server = used(port, changes, async {
        for change in 0..changes {
            writer.put(format!("{DIR}a"), change.to_string(), None).await?;
        }
        while let Some(told) = tasks.join_next().await {
            if told?? < changes {
                return Err("a watch has ended before it had told everything".into());
            }
        }
        Ok(())
    });
    let server = server.await?;
    let proxy_cpu = (proxy.cpu()? - proxy_before) / number(changes);
    Ok(Told { watchers: counted, server_cpu: server.cpu, server_bytes: server.bytes, proxy_cpu })
}

struct Proxy {
    port: u16,
    child: Child,
}

impl Proxy {
    async fn start(server: u16) -> Result<Self> {
        let port = free_port();
        let mut command = Command::new(etcd_program(Version::V3_5)?);
        let (server, listen) = (format!("127.0.0.1:{server}"), format!("127.0.0.1:{port}"));
        command.args(["grpc-proxy", "start", "--endpoints", &server, "--listen-addr", &listen]);
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn()?;
        let begun = Instant::now();
        loop {
            let mut client = Client::connect([&listen], None).await?;
            if client.get("/anything", None).await.is_ok() {
                return Ok(Self { port, child });
            }
            if begun.elapsed() > SOON {
                return Err("etcd's proxy does not answer".into());
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// What it has computed so far, in microseconds.
    fn cpu(&self) -> Result<f64> {
        let id = self.child.id().ok_or("etcd's proxy has ended")?;
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
        let (_, fields) = stat.rsplit_once(')').ok_or("a process has a name")?;
        let ticks: Vec<f64> =
            fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<std::result::Result<_, _>>()?;
        Ok(ticks.iter().sum::<f64>() * 1e6 / TICKS)
    }
}
