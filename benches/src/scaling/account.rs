//! What a server has used, by its own account.

use std::time::Duration;

use test_servers::http;

use crate::Result;

const SOON: Duration = Duration::from_mins(1);

/// What the server has used so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    cpu: f64,
    bytes: f64,
    memory: f64,
    disk: f64,
    pub(super) watchers: f64,
}

impl Account {
    pub(super) async fn read(port: u16) -> Result<Self> {
        let (_, metrics) = http::request(SOON, port, "GET", "/metrics", "").await?;
        let value = |name: &str| -> Result<f64> {
            let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            Ok(line.ok_or_else(|| format!("the server does not tell {name}"))?.trim().parse()?)
        };
        Ok(Self {
            cpu: value("process_cpu_seconds_total")? * 1e6,
            bytes: value("etcd_network_client_grpc_received_bytes_total")?
                + value("etcd_network_client_grpc_sent_bytes_total")?,
            memory: value("process_resident_memory_bytes")?,
            disk: value("etcd_mvcc_db_total_size_in_use_in_bytes")?,
            watchers: value("etcd_debugging_mvcc_watcher_total")?,
        })
    }
}

/// For each of so many.
pub(super) struct Used {
    pub(super) cpu: f64,
    pub(super) bytes: f64,
    pub(super) memory: f64,
    pub(super) disk: f64,
}

pub(super) async fn used(port: u16, count: usize, work: impl Future<Output = Result<()>>) -> Result<Used> {
    let before = Account::read(port).await?;
    work.await?;
    let after = Account::read(port).await?;
    let of = |after: f64, before: f64| ((after - before) / number(count)).max(0.0);
    Ok(Used {
        cpu: of(after.cpu, before.cpu),
        bytes: of(after.bytes, before.bytes),
        memory: of(after.memory, before.memory),
        disk: of(after.disk, before.disk),
    })
}

#[expect(clippy::cast_precision_loss, reason = "there are never so many")]
pub(super) fn number(count: usize) -> f64 {
    count as f64
}
