//! A backend of one's own: `memory.rs` is all of it, and passes the trials that every backend passes
//! (`tests/own_backend.rs`).
//!
//! `cargo run -p registry --example own_backend`

mod memory;

use std::sync::Arc;
use std::time::Duration;

use registry::{Catalogue, Dir, Instance, Json, RegisterOptions, Registry, RegistryExt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> registry::Result<()> {
    let registry: Arc<dyn Registry> = Arc::new(memory::Memory::new());
    let web = Dir::new("/clusters/web")?;
    let mut members = Catalogue::follow(&registry, &web, Json);
    println!("{} members", members.changed().await.len());

    // Recovery and renewal come with the trait.
    let (key, instance) = (web.key("a")?, Instance::new("10.0.0.7", 80)?);
    let value = registry::Codec::encode(&Json, &key.name(), &instance)?;
    let me = registry.announce(key, value, RegisterOptions::new().ttl(Duration::from_secs(5))).await?;
    for (name, instance) in &members.changed().await {
        println!("{name} is at {}", instance.authority());
    }
    me.deregister().await?;
    println!("{} members", members.changed().await.len());
    Ok(())
}
