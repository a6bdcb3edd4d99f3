//! Real servers for tests: started in a moment, stopped, killed, paused and wiped at will, and never left behind.
//!
//! ```no_run
//! # async fn example() -> test_servers::Result<()> {
//! use test_servers::{Etcd, Version};
//!
//! let mut etcd = Etcd::start(Version::V3_5).await?;
//! println!("{} at {}", etcd.describe(), etcd.endpoint());
//! etcd.kill().await?;
//! etcd.start_again().await?; // the same address, the same data
//! # Ok(())
//! # }
//! ```
//!
//! Where a Docker engine answers, a server runs in a container; elsewhere, and with `TEST_SERVERS=process`, it is a
//! child process. Nothing else differs. Both need `scripts/images` to have run, and an error says so when it has not.
//!
//! Every server listens on loopback only.

pub mod certificates;
mod cluster;
mod consul;
mod consul_cluster;
mod container;
mod engine;
mod error;
mod etcd;
mod fake_http;
pub mod http;
mod launch;
mod network;
mod options;
mod plan;
mod ports;
mod process;
mod reaper;
mod relay;
mod server;
mod zone;

pub use cluster::Cluster;
pub use consul::{Consul, ConsulOptions};
pub use consul_cluster::ConsulCluster;
pub use engine::etcd_program;
pub use error::{Error, Result};
pub use etcd::{Api, Etcd};
pub use fake_http::{FakeHttp, fake_http};
pub use options::{Options, Version};
pub use ports::free_port;
pub use reaper::Mortal;
pub use zone::Zone;
