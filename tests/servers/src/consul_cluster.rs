//! Three Consul servers, of which one leads.

use std::time::{Duration, Instant};

use crate::consul::{Consul, ConsulOptions, Launch};
use crate::{Error, Result};

/// An election that takes longer than this does not end at all, even on a busy machine.
const ELECTION: Duration = Duration::from_mins(1);

/// Three Consul servers of one datacenter, each a process with an address and data of its own: one may be lost.
#[derive(Debug)]
pub struct ConsulCluster {
    members: Vec<Consul>,
}

impl ConsulCluster {
    /// Starts three servers and returns when each of them answers and can be written to.
    ///
    /// Fails as [`Consul::start`] does.
    pub async fn start(options: ConsulOptions) -> Result<Self> {
        let mut attempts_left = 5;
        loop {
            attempts_left -= 1;
            match Self::launch(&options).await {
                Err(error) if error.is_port_clash() && attempts_left > 0 => {}
                result => return result,
            }
        }
    }

    async fn launch(options: &ConsulOptions) -> Result<Self> {
        let mut members = Vec::new();
        for launch in Launch::cluster(options, ["one", "two", "three"]) {
            members.push(Consul::create(launch).await?);
        }
        for member in &mut members {
            member.become_ready().await?;
        }
        Ok(Self { members })
    }

    /// Where clients connect: each server, in the order of [`member`](Self::member).
    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(Consul::endpoint).collect()
    }

    /// One of the servers: 0, 1 or 2.
    ///
    /// # Panics
    ///
    /// When there is no such one.
    pub fn member(&mut self, number: usize) -> &mut Consul {
        &mut self.members[number]
    }

    /// The number of the server that leads, when all agree on one.
    pub async fn leader(&self) -> Result<usize> {
        self.elected(None).await
    }

    /// The number of the server that leads after the loss of this one, when the others agree on one.
    pub async fn leader_after(&self, lost: usize) -> Result<usize> {
        self.elected(Some(lost)).await
    }

    async fn elected(&self, lost: Option<usize>) -> Result<usize> {
        let begun = Instant::now();
        loop {
            let mut named = Vec::new();
            for (number, member) in self.members.iter().enumerate() {
                if Some(number) != lost {
                    named.push(self.named_by(member).await);
                }
            }
            match named[0] {
                Some(leader) if Some(leader) != lost && named.iter().all(|other| *other == Some(leader)) => {
                    return Ok(leader);
                }
                _ if begun.elapsed() > ELECTION => {
                    return Err(Error::new(format!("the servers agree on no leader: {named:?}")));
                }
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Whom a server takes for the leader.
    async fn named_by(&self, member: &Consul) -> Option<usize> {
        let (_, said) = member.ask("GET", "/v1/status/leader", "").await.ok()?;
        let is_named = |member: &Consul| said.contains(&format!(":{}\"", member.launch.server_port));
        self.members.iter().position(is_named)
    }
}
