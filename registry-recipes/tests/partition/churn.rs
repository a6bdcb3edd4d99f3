//! Many members that come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use registry_core::Registry;
use registry_recipes::partition::Partition;
use tokio::task::JoinSet;

use crate::agreeing::{Company, cluster, member};
use crate::support::Place;

/// A generator that gives the same numbers on every machine.
#[derive(Debug)]
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Bursts of joining and leaving. After each one, all that anybody was ever told fits together; and when it is quiet, the
/// parts are exactly those that one would compute by hand.
pub(crate) async fn fifty_members_come_and_go(place: Place) {
    let connections: Vec<Arc<dyn Registry>> = (0..4).map(|_| place.connect()).collect();
    let mut numbers = Numbers(0x5eed);
    let mut company = Company::default();
    let mut alive: BTreeMap<String, u64> = BTreeMap::new();
    let mut largest = 0;
    for burst in 0..40 {
        let (mut joining, mut leaving) = (JoinSet::new(), Vec::new());
        // Who has not done coming or going does not do it again. The first bursts fill the house, the others stir it.
        let mut drawn = BTreeSet::new();
        for _ in 0..12 {
            let (number, workers) = (numbers.below(50), 1 + numbers.below(4));
            let id = format!("node{number}");
            if !drawn.insert(number) || (burst < 4 && alive.contains_key(&id)) {
                continue;
            }
            if alive.remove(&id).is_some() {
                leaving.push(company.lets_go(&id));
                continue;
            }
            alive.insert(id.clone(), workers);
            let registry = Arc::clone(&connections[usize::try_from(number % 4).expect("small")]);
            joining.spawn(async move {
                let joined = Partition::join(&registry, &cluster(), member(&id, workers)).await;
                (joined.unwrap_or_else(|error| panic!("{id} joins: {error}")), id)
            });
        }
        while let Some(joined) = joining.join_next().await {
            let (partition, id) = joined.expect("joined");
            company.takes_in(&id, partition);
            company.agrees();
        }
        for left in leaving {
            left.await.expect("left");
            company.agrees();
        }
        largest = largest.max(alive.len());
        company.comes_to(&expected(&alive)).await;
        company.agrees();
    }
    assert!(largest >= 25, "only {largest} at a time");
    let told = company.record.lock().expect("the record").all.len();
    assert!(told > 700, "only {told} shares were told");
}

/// In the byte order of the names.
fn expected(alive: &BTreeMap<String, u64>) -> BTreeMap<String, (Option<u64>, u64, u64)> {
    let total = alive.values().sum();
    let mut before = 0;
    let part = |(id, workers): (&String, &u64)| {
        let base = before;
        before += workers;
        (id.clone(), (Some(base), *workers, total))
    };
    alive.iter().map(part).collect()
}
