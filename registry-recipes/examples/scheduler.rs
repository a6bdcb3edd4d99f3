//! Three nodes in one process, from new to clustered, with a driver that prints.
//!
//! `cargo run -p registry-recipes --example scheduler [URL]`; without a URL on a store of its own.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use registry_core::{Dir, async_trait};
use registry_recipes::scheduler::{Context, Driver, DriverError, Joined, Layout, Options, Scheduler, State};

/// Says what it would do.
struct Printer;

#[async_trait]
impl Driver for Printer {
    async fn join(&self, context: &Context) -> Result<Joined, DriverError> {
        println!("{} joins through {}", context.node.address, context.master.address);
        Ok(Joined::Anew)
    }

    async fn recover(&self, context: &Context) -> Result<(), DriverError> {
        println!("{} recovers", context.node.address);
        Ok(())
    }

    async fn rebalance(&self, context: &Context) -> Result<(), DriverError> {
        println!("{} rebalances {} members", context.node.address, context.members.len());
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok(())
    }

    async fn failover(&self, context: &Context) -> Result<(), DriverError> {
        println!("{} hands over to {}", context.node.address, context.witness().address);
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let own = format!("sqlite://{}/registry.db", directory.path().display());
    let registry = registry::connect(&std::env::args().nth(1).unwrap_or(own))?;
    let layout = Layout::new(&Dir::new("/services/example")?)?;

    let mut nodes = Vec::new();
    for address in ["10.0.0.1", "10.0.0.2", "10.0.0.3"] {
        let session = Scheduler::new_session();
        let (registry, layout) = (Arc::clone(&registry), layout.clone());
        nodes.push(Scheduler::start(registry, layout, &session, address, Arc::new(Printer), Options::new()).await?);
    }
    for node in &nodes {
        node.watch().wait_for(|status| status.state == State::Clustered).await?;
    }
    println!("all are clustered");
    for node in nodes {
        node.stop(Duration::from_secs(10)).await;
    }
    Ok(())
}
