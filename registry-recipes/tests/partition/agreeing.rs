//! What members say, and whether it fits together.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use registry_core::Registry;
use registry_recipes::partition::{Cluster, Member, Partition, Share};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// Long enough for anything that should happen, on a busy machine; also for what must expire first.
pub(crate) const SOON: Duration = Duration::from_secs(45);

pub(crate) fn cluster() -> Cluster {
    Cluster::new("app", None, Some("test")).expect("a valid cluster")
}

pub(crate) fn member(id: &str, workers: u64) -> Member {
    Member::new(workers).expect("workers").id(id).expect("a valid name")
}

pub(crate) async fn join(registry: &Arc<dyn Registry>, member: Member) -> Partition {
    let id = member.name().clone();
    Partition::join(registry, &cluster(), member).await.unwrap_or_else(|error| panic!("{id} joins: {error}"))
}

pub(crate) fn parts(share: Share) -> (Option<u64>, u64, u64) {
    (share.base, share.workers, share.total)
}

/// Waits until the share is this one.
pub(crate) async fn becomes(partition: &Partition, expected: (Option<u64>, u64, u64)) {
    let begun = Instant::now();
    while parts(partition.share()) != expected {
        assert!(begun.elapsed() < SOON, "{:?} does not become {expected:?}", partition.share());
        sleep(Duration::from_millis(10)).await;
    }
}

/// Everything that members were told, and what each was told last.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) all: Vec<(String, Share)>,
    pub(crate) last: BTreeMap<String, Share>,
}

/// Members that write down what they are told.
#[derive(Debug, Default)]
pub(crate) struct Company {
    pub(crate) record: Arc<Mutex<Record>>,
    members: BTreeMap<String, (tokio::sync::oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Company {
    pub(crate) fn takes_in(&mut self, id: &str, mut partition: Partition) {
        let (leave, mut asked) = tokio::sync::oneshot::channel();
        let (record, name) = (Arc::clone(&self.record), id.to_owned());
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    told = partition.changed() => {
                        let share = told.unwrap_or_else(|error| panic!("{name}: {error}"));
                        let mut record = record.lock().expect("the record");
                        record.all.push((name.clone(), share));
                        record.last.insert(name.clone(), share);
                    }
                    asked = &mut asked => match asked {
                        Ok(()) => break,
                        // The trial is over.
                        Err(_) => return,
                    },
                }
            }
            partition.leave().await.unwrap_or_else(|error| panic!("{name} leaves: {error}"));
            record.lock().expect("the record").last.remove(&name);
        });
        self.members.insert(id.to_owned(), (leave, task));
    }

    /// Lets one leave; the task ends when it has.
    pub(crate) fn lets_go(&mut self, id: &str) -> JoinHandle<()> {
        let (leave, task) = self.members.remove(id).expect("a member");
        leave.send(()).expect("it lives");
        task
    }

    /// Whoever looked at the same point of the history saw the same whole, and nobody another's part.
    pub(crate) fn agrees(&self) {
        let mut points: BTreeMap<u64, BTreeMap<String, Share>> = BTreeMap::new();
        for (id, share) in &self.record.lock().expect("the record").all {
            let before = points.entry(share.index.position()).or_default().insert(id.clone(), *share);
            assert!(
                before.is_none_or(|before| before.base.is_none() || share.base.is_none() || before.agrees_with(share)),
                "{id} was told {before:?} and {share:?} of one point"
            );
        }
        for (point, shares) in points {
            let total = shares.values().next().expect("one").total;
            assert!(shares.values().all(|share| share.total == total), "different totals at {point}: {shares:#?}");
            assert!(
                shares.values().all(|share| share.range().end <= total),
                "beyond the total at {point}: {shares:#?}"
            );
            assert!(!overlap(shares.values().map(Share::range)), "they overlap at {point}: {shares:#?}");
        }
    }

    /// Waits until each was told this last.
    pub(crate) async fn comes_to(&self, expected: &BTreeMap<String, (Option<u64>, u64, u64)>) {
        let begun = Instant::now();
        loop {
            let last: BTreeMap<_, _> = {
                let record = self.record.lock().expect("the record");
                record.last.iter().map(|(id, share)| (id.clone(), parts(*share))).collect()
            };
            if last == *expected {
                return;
            }
            assert!(begun.elapsed() < SOON, "it ends with {last:#?} instead of {expected:#?}");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// True when two of them have something in common.
pub(crate) fn overlap(ranges: impl Iterator<Item = Range<u64>>) -> bool {
    let mut ranges: Vec<_> = ranges.filter(|range| !range.is_empty()).collect();
    ranges.sort_by_key(|range| range.start);
    ranges.windows(2).any(|pair| pair[0].end > pair[1].start)
}
