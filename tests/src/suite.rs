//! The tests of one executable.

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};

use crate::canary::Sampler;
use crate::server::Servers;
use crate::{Backend, Context, Sandbox, program};

/// Tests wait most of the time, so there are more of them at once than processors.
const THREADS: usize = 8;

/// The tests of one executable, which must have `harness = false`.
#[derive(Default)]
pub struct Suite {
    trials: Vec<Trial>,
    not_run: Vec<String>,
    servers: Arc<Servers>,
    threads: Option<usize>,
}

impl Suite {
    /// Without any test.
    pub fn new() -> Self {
        Self::default()
    }

    /// For tests that count what the whole process has in use. The command line may say otherwise.
    pub fn one_at_a_time(mut self) -> Self {
        self.threads = Some(1);
        self
    }

    /// A test that shares its server with others, and leaves it as it is: once on each of these registries.
    pub fn on(self, backends: &[Backend], name: &'static str, test: fn(&Context)) -> Self {
        self.add(backends, name, Context::shared, test)
    }

    /// A test that has a server of its own, to do with as it likes: once on each of these registries.
    pub fn on_own(self, backends: &[Backend], name: &'static str, test: fn(&Context)) -> Self {
        self.add(backends, name, Context::own, test)
    }

    /// The same, with an etcd that is a child process: what it holds can be saved and restored.
    pub fn on_own_process(self, backends: &[Backend], name: &'static str, test: fn(&Context)) -> Self {
        self.add(backends, name, Context::process, test)
    }

    /// A test that needs no registry, or brings its own.
    pub fn alone(mut self, name: &'static str, test: fn(&Sandbox)) -> Self {
        self.trials.push(Trial::test(name, move || {
            test(&Sandbox::new());
            Ok(())
        }));
        self
    }

    /// The same, where a fault can be made on this machine. Elsewhere the test counts as skipped, and the last lines say
    /// why.
    pub fn alone_where(mut self, probe: fn() -> Result<(), String>, name: &'static str, test: fn(&Sandbox)) -> Self {
        match probe() {
            Ok(()) => self.alone(name, test),
            Err(why) => {
                self.skip(name, &why);
                self
            }
        }
    }

    /// A test that shares its server with others, where a fault can be made on this machine.
    pub fn on_where(
        mut self,
        probe: fn() -> Result<(), String>,
        backends: &[Backend],
        name: &'static str,
        test: fn(&Context),
    ) -> Self {
        if self.is_possible(probe, backends, name) { self.on(backends, name, test) } else { self }
    }

    /// A test with a server of its own, where a fault can be made on this machine.
    pub fn on_own_where(
        mut self,
        probe: fn() -> Result<(), String>,
        backends: &[Backend],
        name: &'static str,
        test: fn(&Context),
    ) -> Self {
        if self.is_possible(probe, backends, name) { self.on_own(backends, name, test) } else { self }
    }

    /// False, and it counts as skipped on each of these, where the fault cannot be made.
    fn is_possible(&mut self, probe: fn() -> Result<(), String>, backends: &[Backend], name: &str) -> bool {
        let Err(why) = probe() else { return true };
        for backend in backends {
            self.skip(&format!("{name}::{}", backend.name()), &why);
        }
        false
    }

    fn skip(&mut self, name: &str, why: &str) {
        self.not_run.push(format!("not run: {name}: {why}"));
        self.trials.push(Trial::test(name, || Ok(())).with_ignored_flag(true));
    }

    /// Runs them as the command line says. Then ends the servers, and says which there were, and what was not run.
    pub fn run(self) -> ExitCode {
        let mut arguments = Arguments::from_args();
        arguments.test_threads.get_or_insert(self.threads.unwrap_or(THREADS));
        if !arguments.list {
            program();
        }
        let sampler = (!arguments.list).then(Sampler::start);
        let conclusion = libtest_mimic::run(&arguments, self.trials);
        drop(sampler);
        for used in self.servers.report() {
            println!("{used}");
        }
        for not_run in &self.not_run {
            println!("{not_run}");
        }
        conclusion.exit_code()
    }

    fn add(
        mut self,
        backends: &[Backend],
        name: &'static str,
        context: fn(&Servers, Backend, &str) -> Context,
        test: fn(&Context),
    ) -> Self {
        for &backend in backends {
            let servers = Arc::clone(&self.servers);
            self.trials.push(Trial::test(format!("{name}::{}", backend.name()), move || {
                test(&context(&servers, backend, name));
                Ok(())
            }));
        }
        self
    }
}
