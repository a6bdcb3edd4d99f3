//! Target 5, first half: registrations per second, beside the raw client of each store.

mod raw;

use std::sync::Arc;
use std::time::{Duration, Instant};

use registry::{Bytes, Dir, Key, RegisterOptions, Registry};
use tokio::task::JoinSet;

use super::fleet::rotated;
use crate::Result;
use crate::bench::Bench;
use crate::harness::{FLOOR, FLOOR_WITH_PROMISES, Limit, OURS, Samples, Section, Unit};
use crate::stores::{Kind, Store};
use raw::Raw;

/// Longer than any measurement, and allowed by every store.
const TTL: Duration = Duration::from_hours(1);
const VALUE: &[u8] = b"10.0.0.7:80";
/// How many tasks register side by side, and how many registrations they make together in each round.
const CASES: [(usize, usize); 4] = [(1, 100), (16, 800), (128, 2048), (1024, 4096)];
/// An agent of Consul accepts 200 connections from one address, and both contestants keep theirs.
const CONSUL_TASKS: usize = 16;

pub(super) async fn measure(bench: &Bench) -> Result<Section> {
    let target =
        "at least 0.9 times as many registrations per second as the raw client, with 1, 16, 128 and 1,024 tasks";
    let mut section = Section::new("Registration", target);
    let kinds = [Kind::EtcdV3, Kind::EtcdV2, Kind::Sqlite, Kind::Consul];
    for kind in kinds.into_iter().filter(|kind| bench.is_wanted(*kind)) {
        let store = Store::start(kind).await?;
        let raw = Arc::new(Raw::connect(&store).await?);
        let promising = Raw::promising(&store)?.map(Arc::new);
        let registry = registry::connect(&store.url(None))?;
        for (tasks, count) in CASES.into_iter().filter(|(tasks, _)| kind != Kind::Consul || *tasks <= CONSUL_TASKS) {
            let each = if bench.quick { (count / tasks / 4).max(1) } else { (count / tasks).max(1) };
            let (mut floor, mut ours, mut promises) = (Samples::default(), Samples::default(), Samples::default());
            for round in 0..bench.rounds(15, 3) {
                bench.listen_for_noise();
                let dir = |who: &str| format!("/registration/{tasks}-{round}/{who}");
                // In turn: a store grows as it is written to.
                for turn in rotated(round, if promising.is_some() { 3 } else { 2 }) {
                    match (turn, &promising) {
                        (0, _) => floor.push(vec![by_raw(&raw, &dir("floor"), tasks, each).await?]),
                        (2, Some(raw)) => promises.push(vec![by_raw(raw, &dir("promises"), tasks, each).await?]),
                        _ => ours.push(vec![by_library(&registry, &dir("ours"), tasks, each).await?]),
                    }
                }
            }
            let case = format!("{kind}, {tasks} tasks");
            let promises = promising.iter().map(|_| (FLOOR_WITH_PROMISES.to_owned(), promises.clone()));
            let contestants = [(FLOOR.into(), floor), (OURS.into(), ours)].into_iter().chain(promises);
            section.case(case, Unit::PerSecond, Limit::AtLeastRatio(0.9), contestants);
        }
    }
    section.note(
        "The floor makes the requests that a registration cannot do without: etcd v3 a lease and a transaction that puts, v2 \
         one PUT, Consul a session and one PUT that acquires, sqlite one transaction of two rows, in the same mode of its log. With \
         the promises it also finds what has ended, and keeps the order of the history and how each entry ended.",
    );
    Ok(section)
}

async fn by_library(registry: &Arc<dyn Registry>, dir: &str, tasks: usize, each: usize) -> Result<f64> {
    let dir = Dir::new(dir)?;
    let mut running = JoinSet::new();
    let begun = Instant::now();
    for task in 0..tasks {
        let keys =
            (0..each).map(|number| dir.key(&format!("m{task}-{number}"))).collect::<registry::Result<Vec<Key>>>()?;
        let registry = Arc::clone(registry);
        running.spawn(async move {
            let options = RegisterOptions::new().ttl(TTL);
            for key in keys {
                registry.register(&key, Bytes::from_static(VALUE), &options).await?;
            }
            Result::Ok(())
        });
    }
    finish(running, tasks * each, begun).await
}

async fn by_raw(raw: &Arc<Raw>, dir: &str, tasks: usize, each: usize) -> Result<f64> {
    let mut running = JoinSet::new();
    let begun = Instant::now();
    for task in 0..tasks {
        let keys: Vec<_> = (0..each).map(|number| format!("{dir}/m{task}-{number}")).collect();
        let raw = Arc::clone(raw);
        running.spawn(async move {
            for key in keys {
                raw.register(key).await?;
            }
            Result::Ok(())
        });
    }
    finish(running, tasks * each, begun).await
}

/// Registrations per second.
async fn finish(mut running: JoinSet<Result<()>>, count: usize, begun: Instant) -> Result<f64> {
    while let Some(done) = running.join_next().await {
        done??;
    }
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    Ok(rate)
}
