//! What happens to the members of a cluster.

use std::time::Duration;

use test_servers::Version;
use tokio::time::sleep;

use super::{Fault, World};
use crate::Result;

/// After a fault of a member: what it has caused is seen by then.
const AFTERWARDS: Duration = Duration::from_secs(5);

impl World {
    /// Brings a fault of the leader about, or of all members, lets it last for longer than a TTL, heals it, and waits until
    /// everybody has met what comes of it.
    ///
    /// # Errors
    /// When the servers do not do what they are told, or do not come back.
    pub(super) async fn suffer_of_members(&mut self, fault: Fault) -> Result<()> {
        let long = self.store.kind().ttl().mul_f64(1.4);
        let Some(cluster) = self.store.cluster() else { return Err("there is no cluster".into()) };
        let leader = cluster.leader().await?;
        self.note(format!("{fault}: member {leader}"));
        let Some(cluster) = self.store.cluster() else { return Err("there is no cluster".into()) };
        match fault {
            Fault::LeaderFrozen => {
                cluster.member(leader).pause().await?;
                sleep(long).await;
                cluster.member(leader).unpause().await?;
            }
            Fault::LeaderDeposed => drop(cluster.depose().await?),
            Fault::LeaderCutOff => {
                cluster.cut_off(leader).await?;
                sleep(long).await;
                cluster.join_again(leader).await?;
            }
            Fault::LeaderKilled => {
                cluster.member(leader).kill().await?;
                sleep(long).await;
                cluster.member(leader).start_again().await?;
            }
            Fault::LeaderReplaced => cluster.replace(leader).await?,
            Fault::Defragmented => cluster.defragment().await?,
            Fault::Upgraded => cluster.upgrade(Version::V3_5).await?,
            _ => return Err(format!("{fault} is not about members").into()),
        }
        self.note(format!("healed: {fault}"));
        sleep(AFTERWARDS).await;
        let Some(cluster) = self.store.cluster() else { return Err("there is no cluster".into()) };
        cluster.wait_until_healthy().await?;
        Ok(())
    }
}
