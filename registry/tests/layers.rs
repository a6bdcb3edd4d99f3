//! Each layer keeps the contract: the trials of every backend, on the embedded store through it.

mod support;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use registry::layer::{HoldLastGood, Instrumented, Namespace, Timeout};
use registry::{Capabilities, Dir, Registry, async_trait};
use registry_core::conformance::{Subject, trials};

type Wrap = fn(Arc<dyn Registry>) -> Arc<dyn Registry>;

/// A store, and what is put around each connection to it.
struct Wrapped {
    path: PathBuf,
    wrap: Wrap,
}

#[async_trait]
impl Subject for Wrapped {
    async fn connect(&self) -> Arc<dyn Registry> {
        let url = format!("sqlite://{}", self.path.display());
        (self.wrap)(registry::connect(&url).expect("the store opens"))
    }

    async fn compact(&self) -> bool {
        let store = registry::sqlite::connect(registry::sqlite::Config::new(&self.path)).expect("the store opens");
        store.compact().await.expect("compacted");
        true
    }
}

fn namespace(inner: Arc<dyn Registry>) -> Arc<dyn Registry> {
    Arc::new(Namespace::new(inner, Dir::new("/some/where").expect("valid")))
}

fn timeout(inner: Arc<dyn Registry>) -> Arc<dyn Registry> {
    Arc::new(Timeout::new(inner, Duration::from_secs(20)))
}

fn hold(inner: Arc<dyn Registry>) -> Arc<dyn Registry> {
    Arc::new(HoldLastGood::new(inner, Duration::from_mins(10)))
}

fn instrumented(inner: Arc<dyn Registry>) -> Arc<dyn Registry> {
    Arc::new(Instrumented::new(inner))
}

fn all(inner: Arc<dyn Registry>) -> Arc<dyn Registry> {
    hold(namespace(instrumented(timeout(inner))))
}

fn main() -> ExitCode {
    let able = Capabilities::full();
    let layers: [(&str, Wrap); 5] = [
        ("namespace", namespace),
        ("timeout", timeout),
        ("hold_last_good", hold),
        ("instrumented", instrumented),
        ("all_of_them", all),
    ];
    // Removed after the runtime has ended: a watch that still runs would make a store anew.
    let place = tempfile::tempdir().expect("a directory");
    let store = |name: &str, trial: &str| Path::new(place.path()).join(format!("{name}-{trial}")).join("registry.db");
    support::run(|runtime| {
        let mut every = Vec::new();
        for trial in trials().into_iter().filter(|trial| trial.applies_to(&able)) {
            for (name, wrap) in layers {
                let path = store(name, trial.name);
                every.push(support::trial(runtime, name, trial, move || Arc::new(Wrapped { path, wrap })));
            }
        }
        every
    })
}
