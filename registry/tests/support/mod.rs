//! How the contract's trials are run on what is not a backend crate.

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use registry_core::conformance::{Bench, Subject};
use tokio::runtime::Handle;

/// Runs trials on one runtime.
pub(crate) fn run(trials: impl FnOnce(&Handle) -> Vec<Trial>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The trials mostly wait; many more of them than cores may run at once.
    arguments.test_threads.get_or_insert(24);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let trials = trials(runtime.handle());
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(runtime);
    conclusion.exit_code()
}

/// One trial of the contract on a subject of its own: one that compacts must not disturb the others.
pub(crate) fn trial(
    runtime: &Handle,
    name: &str,
    trial: registry_core::conformance::Trial,
    subject: impl FnOnce() -> Arc<dyn Subject> + Send + 'static,
) -> Trial {
    let runtime = runtime.clone();
    Trial::test(format!("{name}::{}", trial.name), move || {
        runtime.block_on(async {
            trial.run(Bench::new(&subject(), trial.name).await).await;
            Ok(())
        })
    })
}
