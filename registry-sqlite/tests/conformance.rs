//! The contract's trials on the embedded store.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use registry_core::conformance::{Bench, Subject, trials};
use registry_core::{Registry, async_trait};
use registry_sqlite::{Config, SqliteRegistry, connect};

struct Store {
    path: PathBuf,
}

impl Store {
    fn open(&self) -> SqliteRegistry {
        connect(Config::new(&self.path)).expect("the store opens")
    }
}

#[async_trait]
impl Subject for Store {
    async fn connect(&self) -> Arc<dyn Registry> {
        Arc::new(self.open())
    }

    async fn compact(&self) -> bool {
        self.open().compact().await.expect("compacted");
        true
    }
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The trials mostly wait; more of them than cores may run at once.
    arguments.test_threads.get_or_insert(8);
    // Removed after the runtime has ended: a watch that still runs would make a store anew.
    let place = tempfile::tempdir().expect("a directory");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let handle = runtime.handle().clone();
    let run = |trial: registry_core::conformance::Trial, through_arc: bool| {
        let (handle, name) = (handle.clone(), format!("{}{}", if through_arc { "arc::" } else { "" }, trial.name));
        // A store for each trial: one that compacts must not disturb the others.
        let path = place.path().join(&name).join("registry.db");
        Trial::test(name, move || {
            handle.block_on(async {
                let store: Arc<dyn Subject> = Arc::new(Store { path });
                let bench = Bench::new(&store, trial.name).await;
                trial.run(if through_arc { bench.through_arc() } else { bench }).await;
                Ok(())
            })
        })
    };
    let able = registry_core::Capabilities::full();
    let all = trials().into_iter().filter(|trial| trial.applies_to(&able));
    let tests = all.flat_map(|trial| [run(trial, false), run(trial, true)]).collect();
    let conclusion = libtest_mimic::run(&arguments, tests);
    drop(runtime);
    conclusion.exit_code()
}
