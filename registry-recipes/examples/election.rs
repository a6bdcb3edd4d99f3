//! Two candidates, and an observer who knows at any time who leads.
//!
//! `cargo run -p registry-recipes --example election [URL]`; without a URL on a store of its own.

use std::time::Duration;

use registry_core::Dir;
use registry_recipes::Election;
use tokio::time::timeout;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let own = format!("sqlite://{}/registry.db", directory.path().display());
    let registry = registry::connect(&std::env::args().nth(1).unwrap_or(own))?;
    let election = Election::new(registry, Dir::new("/elections/example")?).ttl(Duration::from_secs(5));

    let mut observer = election.observe();
    let watching = tokio::spawn(async move {
        let mut seen = Vec::new();
        while seen.last().map(String::as_str) != Some("second") {
            let leader = timeout(Duration::from_secs(30), observer.next()).await.expect("told").expect("it goes on");
            let name = leader.expect("no error").map(|leader| {
                let name = String::from_utf8_lossy(&leader.value).into_owned();
                println!("{name} leads, token {}", leader.token);
                name
            });
            seen.push(name.unwrap_or_else(|| "nobody".into()));
        }
        seen
    });

    let first = election.campaign("first").await?;
    // It waits behind the first one.
    let second = tokio::spawn({
        let election = election.clone();
        async move { election.campaign("second").await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(first.held() && !second.is_finished());
    first.resign().await?;
    let second = second.await??;
    let seen = watching.await?;
    assert!(seen.contains(&"first".to_owned()), "{seen:?}");
    println!("the second one leads with token {}", second.token());
    second.resign().await?;
    Ok(())
}
