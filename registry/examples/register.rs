//! Registers an instance, keeps it, changes it, and takes it back.
//!
//! `cargo run -p registry --example register [URL]`; without a URL on a store of its own.

use std::time::Duration;

use registry::{Codec, Dir, Health, Instance, Json, RegisterOptions, RegistryExt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> registry::Result<()> {
    let directory = tempfile::tempdir().expect("a directory");
    let own = format!("sqlite://{}/registry.db", directory.path().display());
    let registry = registry::connect(&std::env::args().nth(1).unwrap_or(own))?;
    let key = Dir::new("/clusters/web")?.key("web-1")?;

    // It is renewed, and registered again after a loss, until it is given back.
    let instance = Instance::new("10.0.0.7", 80)?.weight(50).tag("blue").metadata("version", "1.4");
    let value = Json.encode(&key.name(), &instance)?;
    let options = RegisterOptions::new().ttl(Duration::from_secs(10));
    let registration = registry.announce(key.clone(), value, options).await?;
    println!("{key} is registered; held: {}", registration.token().is_some());

    // Clients send nothing new to who drains.
    let value = Json.encode(&key.name(), &instance.health(Health::Draining))?;
    registration.update(value).await?;
    let there = registry.list(&(&key).into()).await?;
    println!("{}", String::from_utf8_lossy(&there.entries[0].value));

    registration.deregister().await?;
    println!("{} entries are left", registry.list(&key.into()).await?.entries.len());
    Ok(())
}
