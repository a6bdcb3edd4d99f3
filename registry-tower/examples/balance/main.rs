//! gRPC servers come and go, and one channel follows them.
//!
//! `cargo run -p registry-tower --features tonic --example balance [URL]`; without a URL on a store of its own.

mod server;

use std::collections::BTreeMap;
use std::time::Duration;

use registry::{Catalogue, Dir, Json};
use registry_tower::Channel;
use server::{Failed, Server, WHO};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let directory = tempfile::tempdir()?;
    let own = format!("sqlite://{}/registry.db", directory.path().display());
    let registry = registry::connect(&std::env::args().nth(1).unwrap_or(own))?;
    let dir = Dir::new("/examples/balance")?;

    let catalogue = Catalogue::follow(&registry, &dir, Json);
    let channel = registry_tower::channel(catalogue);
    let one = Server::start(&registry, &dir, "one").await?;
    println!("one alone:       {:?}", ask(&channel, 20).await?);
    let two = Server::start(&registry, &dir, "two").await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    println!("two has come:    {:?}", ask(&channel, 100).await?);
    one.stop(Duration::from_millis(500)).await?;
    println!("one has gone:    {:?}", ask(&channel, 20).await?);
    two.stop(Duration::ZERO).await
}

/// Who answered how often.
async fn ask(channel: &Channel, times: usize) -> Result<BTreeMap<String, usize>, Failed> {
    let mut client = HealthClient::new(channel.clone());
    let mut answered = BTreeMap::new();
    for _ in 0..times {
        let mut request = tonic::Request::new(HealthCheckRequest::default());
        request.set_timeout(Duration::from_secs(5));
        let response = client.check(request).await?;
        let who = response.metadata().get(WHO).and_then(|who| who.to_str().ok()).unwrap_or("?");
        *answered.entry(who.to_owned()).or_default() += 1;
    }
    Ok(answered)
}
