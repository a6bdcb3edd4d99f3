//! The contract's trials on real servers.

use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use libtest_mimic::{Arguments, Failed, Trial};
use registry_core::conformance::{Bench, Subject, trials};
use registry_core::{Capabilities, Registry, async_trait};
use registry_etcd_v2::{Address, SCHEME, connect};
use test_servers::{Etcd, Version, http};

struct Server(Etcd);

#[async_trait]
impl Subject for Server {
    async fn connect(&self) -> Arc<dyn Registry> {
        Arc::new(connect(Address::new(&SCHEME, [self.0.endpoint()])).expect("a configuration"))
    }

    /// The server remembers 1000 events, whatever they are about.
    async fn compact(&self) -> bool {
        let limit = std::time::Duration::from_secs(5);
        let mut writers = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let port = self.0.port();
            writers.spawn(async move {
                for _ in 0..260 {
                    let answer = http::request(limit, port, "PUT", "/v2/keys/_elsewhere", "value=x").await;
                    assert!(answer.expect("written").0 < 300);
                }
            });
        }
        writers.join_all().await;
        true
    }
}

/// Servers that no trial uses at the moment. A trial has a server to itself, for all of a server's events share one
/// window of 1000; the next one finds other directories, and a history that is longer.
#[derive(Default)]
struct Pool(Mutex<Vec<(Version, Arc<dyn Subject>)>>);

impl Pool {
    async fn run(&self, trial: registry_core::conformance::Trial, version: Version) -> Result<(), Failed> {
        let idle = {
            let mut idle = self.0.lock()?;
            let at = idle.iter().position(|(there, _)| *there == version);
            at.map(|at| idle.swap_remove(at).1)
        };
        let server = match idle {
            Some(server) => server,
            None => Arc::new(Server(Etcd::start(version).await?)),
        };
        trial.run(Bench::new(&server, trial.name).await).await;
        self.0.lock()?.push((version, server));
        Ok(())
    }
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The trials mostly wait; more of them than cores may run at once.
    arguments.test_threads.get_or_insert(8);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let pool = Arc::new(Pool::default());
    let run = |trial: registry_core::conformance::Trial, version: Version| {
        let (handle, pool) = (runtime.handle().clone(), Arc::clone(&pool));
        let name = match version {
            Version::V3_4 => format!("etcd_3_4::{}", trial.name),
            Version::V3_5 => format!("etcd_3_5::{}", trial.name),
        };
        Trial::test(name, move || handle.block_on(pool.run(trial, version)))
    };
    let able = Capabilities::full();
    let all: Vec<_> = trials().into_iter().filter(|trial| trial.applies_to(&able)).collect();
    let tests = Version::ALL.into_iter().flat_map(|version| all.iter().map(move |trial| (*trial, version)));
    let tests = tests.map(|(trial, version)| run(trial, version)).collect();
    libtest_mimic::run(&arguments, tests).exit_code()
}
