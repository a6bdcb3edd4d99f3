//! Three workers, one lock, and a store that checks the token.
//!
//! `cargo run -p registry-recipes --example lock [URL]`; without a URL on a store of its own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use registry_core::{Dir, Registry};
use registry_recipes::Lock;
use tokio::time::sleep;

/// What the lock protects. It refuses a token smaller than the largest it has seen: without this no lock with a time to
/// live is safe from a holder that was frozen.
#[derive(Default)]
struct Store {
    largest: u64,
    lines: Vec<String>,
}

impl Store {
    fn write(&mut self, token: u64, line: String) -> Result<(), String> {
        if token < self.largest {
            return Err(format!("token {token} is older than {}", self.largest));
        }
        self.largest = token;
        self.lines.push(line);
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let own = format!("sqlite://{}/registry.db", directory.path().display());
    let registry = registry::connect(&std::env::args().nth(1).unwrap_or(own))?;
    let store = Arc::new(Mutex::new(Store::default()));
    let workers: Vec<_> = (1..=3).map(|number| tokio::spawn(work(registry.clone(), number, store.clone()))).collect();
    for worker in workers {
        worker.await?.map_err(|error| error.to_string())?;
    }
    let store = store.lock().unwrap_or_else(PoisonError::into_inner);
    println!("{}", store.lines.join("\n"));
    assert_eq!(store.lines.len(), 9);
    Ok(())
}

async fn work(
    registry: Arc<dyn Registry>,
    number: u32,
    store: Arc<Mutex<Store>>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let lock = Lock::new(registry, Dir::new("/locks/example")?).ttl(Duration::from_secs(5));
    let guard = lock.acquire_within(Duration::from_secs(30), format!("worker {number}")).await?;
    for step in 1..=3 {
        // Before each step: a worker that was frozen finds out here.
        if !guard.held() {
            return Err(guard.loss().await.into());
        }
        let line = format!("worker {number}, step {step}, token {}", guard.token());
        store.lock().unwrap_or_else(PoisonError::into_inner).write(guard.token().position(), line)?;
        sleep(Duration::from_millis(50)).await;
    }
    guard.release().await?;
    Ok(())
}
