//! Many contenders, cut off at random: the history of what they did is checked as a whole.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use registry_core::conformance::Gate;
use tokio::time::{Instant, sleep, timeout};

use super::lock_of;
use super::support::Place;

/// Fewer turns say nothing.
const TURNS: usize = 5;
/// How long it goes on at least, and at most.
const SHORT: Duration = Duration::from_secs(15);
const LONG: Duration = Duration::from_mins(2);

/// What the lock protects: it refuses a token smaller than the largest that it has seen.
#[derive(Default)]
struct Resource {
    largest: u64,
    /// Who worked with which token, from when until when, by the clock that all of them share.
    turns: Vec<(u64, Instant, Instant)>,
    refused: u32,
}

impl Resource {
    fn write(&mut self, token: u64) {
        if token < self.largest {
            self.refused += 1;
        }
        self.largest = self.largest.max(token);
    }
}

pub(crate) async fn tokens_and_turns_never_overlap(place: Place) {
    const CONTENDERS: u64 = 4;
    let resource = Arc::new(Mutex::new(Resource::default()));
    let begun = Instant::now();
    // On a machine that is busy it may take longer until there is something to be said.
    let is_over = {
        let resource = Arc::clone(&resource);
        move || {
            let turns = resource.lock().unwrap_or_else(PoisonError::into_inner).turns.len();
            begun.elapsed() > LONG || (begun.elapsed() > SHORT && turns >= TURNS)
        }
    };
    let mut all = Vec::new();
    for number in 0..CONTENDERS {
        let gate = Gate::new(place.connect());
        all.push(tokio::spawn(contend(gate.clone(), number, Arc::clone(&resource), is_over.clone())));
        let is_over = is_over.clone();
        // A link that breaks now and then, for longer than the time to live each third time.
        all.push(tokio::spawn(async move {
            let mut round = number;
            while !is_over() {
                sleep(Duration::from_millis(700 + 450 * number)).await;
                gate.close();
                sleep(Duration::from_millis(if round % 3 == 0 { 2800 } else { 300 })).await;
                gate.open();
                round += 1;
            }
        }));
    }
    for one in all {
        one.await.expect("no panic");
    }
    let mut resource = std::mem::take(&mut *resource.lock().unwrap_or_else(PoisonError::into_inner));
    resource.turns.sort_by_key(|(token, ..)| *token);
    println!("{} turns", resource.turns.len());
    assert!(resource.turns.len() >= TURNS, "too few turns to say anything: {}", resource.turns.len());
    assert_eq!(resource.refused, 0, "a former holder wrote after a later one");
    for pair in resource.turns.windows(2) {
        assert!(pair[0].0 < pair[1].0, "a token was given twice");
        assert!(pair[0].2 <= pair[1].1, "two turns overlap: {pair:?}");
    }
}

async fn contend(gate: Arc<Gate>, number: u64, resource: Arc<Mutex<Resource>>, is_over: impl Fn() -> bool) {
    let lock = lock_of(gate).ttl(Duration::from_secs(2));
    while !is_over() {
        let Ok(acquired) = timeout(Duration::from_secs(10), lock.acquire(number.to_string())).await else { continue };
        let guard = acquired.expect("nobody is removed here");
        let (token, begun) = (guard.token().position(), Instant::now());
        let mut last = begun;
        while guard.held() && begun.elapsed() < Duration::from_millis(400 + 900 * number) {
            resource.lock().unwrap_or_else(PoisonError::into_inner).write(token);
            last = Instant::now();
            sleep(Duration::from_millis(10)).await;
        }
        resource.lock().unwrap_or_else(PoisonError::into_inner).turns.push((token, begun, last));
        // Whether it can be told does not matter: the time to live gives it back.
        let _ = guard.release().await;
    }
}
