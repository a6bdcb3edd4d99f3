//! A lock that several may hold.

use std::num::NonZeroUsize;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::support::Place;
use super::{lock, until_there_are};

pub(crate) async fn as_many_as_there_are_permits(place: Place) {
    let three = NonZeroUsize::new(3).expect("positive");
    let mut held = Vec::new();
    for number in 0..3 {
        held.push(lock(&place).permits(three).acquire(number.to_string()).await.expect("acquired"));
    }
    let mut waiting = Vec::new();
    for number in 3..5 {
        let lock = lock(&place).permits(three);
        waiting.push(tokio::spawn(async move { lock.acquire(number.to_string()).await }));
        until_there_are(&place, number + 1).await;
    }
    sleep(Duration::from_millis(500)).await;
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()) && held.iter().all(registry_recipes::Guard::held));
    // Whoever leaves makes room for one, not for all.
    held.remove(1).release().await.expect("released");
    let next = timeout(Duration::from_secs(10), waiting.remove(0)).await.expect("room").expect("no panic");
    sleep(Duration::from_millis(500)).await;
    assert!(!waiting[0].is_finished());
    next.expect("acquired").release().await.expect("released");
    let last = timeout(Duration::from_secs(10), waiting.remove(0)).await.expect("room").expect("no panic");
    assert!(last.expect("acquired").held() && held.iter().all(registry_recipes::Guard::held));
}
