//! The contract's trials on real etcd servers of each version.

use std::process::ExitCode;
use std::sync::Arc;

use etcd_client::Client;
use libtest_mimic::{Arguments, Trial};
use registry_core::conformance::{Bench, Subject, trials};
use registry_core::{Capabilities, Registry, async_trait};
use registry_etcd_v3::{Config, connect};
use test_servers::{Etcd, Version};
use tokio::runtime::Handle;
use tokio::sync::OnceCell;

struct Cluster(Etcd);

impl Cluster {
    async fn start(version: Version) -> Arc<dyn Subject> {
        Arc::new(Self(Etcd::start(version).await.expect("a server")))
    }
}

#[async_trait]
impl Subject for Cluster {
    async fn connect(&self) -> Arc<dyn Registry> {
        let config = Config::from_uri(&format!("etcd://{}/trials", self.0.endpoint())).expect("a valid URL");
        Arc::new(connect(config).expect("a valid configuration"))
    }

    async fn compact(&self) -> bool {
        let mut client = Client::connect([self.0.endpoint()], None).await.expect("a client");
        let answer = client.get("/nothing", None).await.expect("an answer");
        let revision = answer.header().expect("a header").revision();
        client.compact(revision, None).await.expect("compacted");
        true
    }
}

/// The server of one version that the trials share; those that compact have one of their own.
struct Shared {
    version: Version,
    cluster: OnceCell<Arc<dyn Subject>>,
}

impl Shared {
    async fn cluster(&self, trial: &str) -> Arc<dyn Subject> {
        if trial.contains("compact") || trial.contains("gap") {
            return Cluster::start(self.version).await;
        }
        Arc::clone(self.cluster.get_or_init(|| Cluster::start(self.version)).await)
    }
}

fn trial(handle: &Handle, shared: &Arc<Shared>, trial: registry_core::conformance::Trial, through_arc: bool) -> Trial {
    let (handle, shared) = (handle.clone(), Arc::clone(shared));
    let path = if through_arc { "::arc" } else { "" };
    Trial::test(format!("{:?}{path}::{}", shared.version, trial.name), move || {
        handle.block_on(async {
            let bench = Bench::new(&shared.cluster(trial.name).await, trial.name).await;
            trial.run(if through_arc { bench.through_arc() } else { bench }).await;
        });
        Ok(())
    })
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The trials mostly wait; more of them than cores may run at once.
    arguments.test_threads.get_or_insert(16);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut able = Capabilities::full();
    able.removal_reasons = false;
    let mut tests = Vec::new();
    for version in Version::ALL {
        let shared = Arc::new(Shared { version, cluster: OnceCell::new() });
        for each in trials().into_iter().filter(|each| each.applies_to(&able)) {
            tests.push(trial(runtime.handle(), &shared, each, false));
            // The forwarding is the same for every version.
            if version == Version::V3_5 {
                tests.push(trial(runtime.handle(), &shared, each, true));
            }
        }
    }
    libtest_mimic::run(&arguments, tests).exit_code()
}
