//! The part of the contract's trials that a fixed list can pass.

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use registry_core::conformance::{Bench, Subject, trials};
use registry_core::{Capabilities, Dir, Registry, async_trait};
use registry_env::EnvRegistry;

struct Variables;

#[async_trait]
impl Subject for Variables {
    async fn connect(&self) -> Arc<dyn Registry> {
        Arc::new(EnvRegistry::new([("CLUSTER_MEMBERS_REDIS", "b:2,a:1"), ("OTHER", "x")]).expect("valid"))
    }

    fn fixed(&self) -> Option<(Dir, Vec<String>)> {
        Some((Dir::new("/clusters/redis").expect("valid"), vec!["a:1".into(), "b:2".into()]))
    }
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let handle = runtime.handle().clone();
    let able = Capabilities::read_only();
    let run = |trial: registry_core::conformance::Trial| {
        let handle = handle.clone();
        Trial::test(trial.name, move || {
            handle.block_on(async {
                let subject: Arc<dyn Subject> = Arc::new(Variables);
                trial.run(Bench::new(&subject, trial.name).await).await;
                trial.run(Bench::new(&subject, trial.name).await.through_arc()).await;
                Ok(())
            })
        })
    };
    let tests = trials().into_iter().filter(|trial| trial.applies_to(&able)).map(run).collect();
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}
