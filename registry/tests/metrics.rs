//! The names and values that are counted: others build their graphs on them.

#[path = "../examples/own_backend/memory.rs"]
mod memory;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use memory::Memory;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use registry::layer::Instrumented;
use registry::{Catalogue, Dir, RegisterOptions, Registry, ValueIsCount};
use registry_core::conformance::Gate;
use tokio::time::sleep;

/// Keeps what was counted by `name{label=value}`.
#[derive(Default)]
struct Recorded {
    counters: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    gauges: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    timed: Mutex<BTreeMap<String, Arc<Times>>>,
}

#[derive(Default)]
struct Times(AtomicU64);

impl metrics::HistogramFn for Times {
    fn record(&self, _: f64) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn name(key: &Key) -> String {
    let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
    format!("{}{{{}}}", key.name(), labels.join(","))
}

fn at<T: Default>(map: &Mutex<BTreeMap<String, Arc<T>>>, key: &Key) -> Arc<T> {
    Arc::clone(map.lock().unwrap().entry(name(key)).or_default())
}

impl Recorder for Recorded {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(at(&self.counters, key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(at(&self.gauges, key))
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(at(&self.timed, key))
    }
}

impl Recorded {
    fn counter(&self, name: &str) -> u64 {
        self.counters.lock().unwrap().get(name).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// Whole numbers are all that is shown here.
    fn gauge(&self, name: &str) -> Option<String> {
        let gauges = self.gauges.lock().unwrap();
        gauges.get(name).map(|gauge| f64::from_bits(gauge.load(Ordering::Relaxed)).to_string())
    }

    fn timed(&self, name: &str) -> u64 {
        self.timed.lock().unwrap().get(name).map_or(0, |times| times.0.load(Ordering::Relaxed))
    }
}

#[test]
fn calls_and_members_are_counted() {
    let recorded = Recorded::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    metrics::with_local_recorder(&recorded, || runtime.block_on(scene(&recorded)));
}

async fn scene(recorded: &Recorded) {
    let gate = Gate::new(Arc::new(Memory::new()));
    let registry = Arc::new(Instrumented::new(gate.clone()));
    let web = Dir::new("/clusters/web").unwrap();
    let options = RegisterOptions::new().ttl(Duration::from_hours(1));
    for (name, value) in [("a", "1"), ("b", "2"), ("c", "bad")] {
        registry.register(&web.key(name).unwrap(), value.into(), &options).await.unwrap();
    }
    let catalogue = Catalogue::follow(&registry, &web, ValueIsCount);
    catalogue.ready().await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let count = |name: &str, labels: &str| recorded.counter(&format!("registry_{name}{{{labels}}}"));
    let gauge = |name: &str, labels: &str| recorded.gauge(&format!("registry_{name}{{{labels}}}"));
    let number = |text: &str| Some(text.to_owned());
    let (of_web, memory) = ("scope=/clusters/web", "backend=memory");
    assert_eq!(count("requests_total", "backend=memory,operation=register,outcome=ok"), 3);
    assert_eq!(recorded.timed("registry_request_seconds{backend=memory,operation=register}"), 3);
    assert_eq!(count("requests_total", "backend=memory,operation=watch,outcome=ok"), 1);
    assert_eq!((gauge("watches", memory), gauge("members", of_web)), (number("1"), number("2")));
    assert_eq!((gauge("members_rejected", of_web), gauge("members_stale", of_web)), (number("1"), number("0")));
    assert_eq!(count("interruptions_total", of_web), 0);

    registry.remove(&web.key("a").unwrap()).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!((gauge("members", of_web), count("changes_total", memory)), (number("1"), 1));

    gate.close();
    sleep(Duration::from_secs(5)).await;
    assert!(count("requests_total", "backend=memory,operation=watch,outcome=Unavailable") >= 1);
    assert!(count("interruptions_total", of_web) >= 1);
    assert_eq!((gauge("members", of_web), gauge("members_stale", of_web)), (number("1"), number("1")));
    assert_eq!(gauge("watches", memory), number("0"));
    drop(catalogue);
}
