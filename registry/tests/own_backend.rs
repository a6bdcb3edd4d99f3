//! The backend of the example passes the trials that every backend passes.

#[path = "../examples/own_backend/memory.rs"]
mod memory;
mod support;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::Trial;
use memory::Memory;
use registry::{Capabilities, Registry, async_trait};
use registry_core::conformance::{Subject, trials};

struct InMemory(Memory);

#[async_trait]
impl Subject for InMemory {
    async fn connect(&self) -> Arc<dyn Registry> {
        Arc::new(self.0.clone())
    }
}

fn main() -> ExitCode {
    let able = Capabilities::full();
    support::run(|runtime| {
        let all = trials().into_iter().filter(|trial| trial.applies_to(&able));
        let mut all: Vec<_> =
            all.map(|trial| support::trial(runtime, "memory", trial, || Arc::new(InMemory(Memory::new())))).collect();
        all.push(Trial::test("memory::is_as_short_as_the_documentation_says", || {
            let lines = include_str!("../examples/own_backend/memory.rs").lines().count();
            if lines < 200 { Ok(()) } else { Err(format!("it has {lines} lines").into()) }
        }));
        all
    })
}
