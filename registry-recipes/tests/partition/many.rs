//! A cluster of ten thousand.

use std::sync::Arc;
use std::time::Duration;

use registry_core::{Key, RegisterOptions, Registry, Scope};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::agreeing::{becomes, cluster, join, member, parts};
use crate::support::Place;

const MEMBERS: usize = 10_000;
/// How many write at the same time.
const WRITERS: usize = 50;

fn key(number: usize) -> Key {
    cluster().dir().key(&format!("m{number:05}")).expect("a key")
}

async fn put(registry: &Arc<dyn Registry>, number: usize, workers: &str) {
    let options = RegisterOptions::new().ttl(Duration::from_mins(10));
    let put = registry.register(&key(number), workers.to_owned().into(), &options).await;
    put.unwrap_or_else(|error| panic!("{error}"));
}

pub(crate) async fn ten_thousand_members(place: Place) {
    let registry = place.connect();
    let mut writing = JoinSet::new();
    for writer in 0..WRITERS {
        let registry = Arc::clone(&registry);
        writing.spawn(async move {
            for number in (writer..MEMBERS).step_by(WRITERS) {
                put(&registry, number, "1").await;
            }
        });
    }
    writing.join_all().await;

    let middle = join(&place.connect(), member("m05000-and-a-half", 2)).await;
    assert_eq!(parts(middle.share()), (Some(5001), 2, 10_002));
    let begun = Instant::now();
    assert_eq!(registry.list(&Scope::from(cluster().dir())).await.expect("listed").entries.len(), MEMBERS + 1);
    let (reading, begun) = (begun.elapsed(), Instant::now());
    for number in 0..100 {
        put(&registry, number, "3").await;
        put(&registry, MEMBERS - 1 - number, "2").await;
    }
    becomes(&middle, (Some(5201), 2, 10_302)).await;
    for number in 0..100 {
        registry.remove(&key(number)).await.expect("removed");
    }
    becomes(&middle, (Some(4901), 2, 10_002)).await;
    // The directory is not read again for each of them.
    let took = begun.elapsed();
    assert!(took < reading * 150, "{took:?} for 300 changes, and {reading:?} to read it once");
}
