//! Three nodes with two, one and four workers divide seven indices among them.
//!
//! `cargo run -p registry-recipes --example partition [URL]`; without a URL on a store of its own.

use registry_recipes::partition::{Cluster, Member, Partition};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let own = format!("sqlite://{}/registry.db", directory.path().display());
    let registry = registry::connect(&std::env::args().nth(1).unwrap_or(own))?;
    let cluster = Cluster::new("cluster-test", None, None)?;

    let mut nodes = Vec::new();
    for (id, workers) in [("node1", 2), ("node2", 1), ("node3", 4)] {
        nodes.push((id, Partition::join(&registry, &cluster, Member::new(workers)?.id(id)?).await?));
    }
    for (id, node) in &mut nodes {
        // Those who came first are told when the others come.
        let mut share = node.changed().await?;
        while share.total < 7 {
            share = node.changed().await?;
        }
        println!("{id} has {:?} of {}", share.range(), share.total);
    }
    for (_, node) in nodes {
        node.leave().await?;
    }
    Ok(())
}
