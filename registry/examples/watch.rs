//! Follows a cluster: every change in order, or the whole state where changes were missed.
//!
//! `cargo run -p registry --example watch [URL]`; without a URL on a store of its own, where something happens.

use std::sync::Arc;
use std::time::Duration;

use registry::{Change, Dir, Event, RegisterOptions, Registry, RegistryExt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> registry::Result<()> {
    let directory = tempfile::tempdir().expect("a directory");
    let web = Dir::new("/clusters/web")?;
    let given = std::env::args().nth(1);
    let url = given.clone().unwrap_or_else(|| format!("sqlite://{}/registry.db", directory.path().display()));
    let registry = registry::connect(&url)?;
    let mut members = registry.subscribe(&web);
    if given.is_none() {
        tokio::spawn(happen(registry, web));
    }
    while let Some(event) = members.next().await {
        match event? {
            // It replaces everything: what is not in it is gone.
            Event::Snapshot { snapshot, cause } => println!("{cause:?}: {} members", snapshot.entries.len()),
            Event::Changes(batch) => {
                for change in batch.changes {
                    match change {
                        Change::Put(entry) => println!("{} = {}", entry.name, String::from_utf8_lossy(&entry.value)),
                        Change::Remove { name, reason } if name.as_str() == "last" => {
                            println!("{name} is gone ({reason:?})");
                            return Ok(());
                        }
                        Change::Remove { name, reason } => println!("{name} is gone ({reason:?})"),
                    }
                }
            }
            // What is known stays as it is.
            Event::Interrupted { error, retry_in, .. } => println!("stale, next attempt in {retry_in:?}: {error}"),
            Event::Resumed { index } => println!("fresh again at {index}"),
        }
    }
    Ok(())
}

async fn happen(registry: Arc<dyn Registry>, web: Dir) -> registry::Result<()> {
    for name in ["first", "last"] {
        let member = registry.announce(web.key(name)?, "1", RegisterOptions::new()).await?;
        member.update("2".into()).await?;
        tokio::time::sleep(Duration::from_millis(200)).await;
        member.deregister().await?;
    }
    Ok(())
}
