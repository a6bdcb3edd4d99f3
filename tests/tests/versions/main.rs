//! The program as it was and as it is, side by side on one store. The earlier one is named by `TEST_PREVIOUS_PROGRAM`
//! (`scripts/previous` builds it); without it these tests are counted as skipped.

mod locks;
mod rolling;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use cluster_control_tests::{Backend, Context, Launch, Sandbox, Suite, program};

/// One of the two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    Earlier,
    Present,
}

impl Program {
    /// With these arguments, on the registry of the context.
    fn launch(self, context: &Context, arguments: &[&str]) -> Launch {
        let path = match self {
            Self::Earlier => previous().expect("the tests are skipped without it"),
            Self::Present => program().to_path_buf(),
        };
        let mut command = Command::new(path);
        command.args(arguments);
        let sandbox: &Sandbox = context;
        sandbox.launch(command).env("CLUSTER_CONTROL_REGISTRY", context.url())
    }
}

fn previous() -> Option<PathBuf> {
    std::env::var_os("TEST_PREVIOUS_PROGRAM").map(PathBuf::from)
}

fn is_given() -> Result<(), String> {
    match previous() {
        Some(path) if path.is_file() => Ok(()),
        Some(path) => Err(format!("TEST_PREVIOUS_PROGRAM names {}, which is no file", path.display())),
        None => Err("TEST_PREVIOUS_PROGRAM names no earlier program; scripts/previous builds one".into()),
    }
}

fn main() -> ExitCode {
    Suite::new()
        .on_own_where(is_given, &Backend::WITH_CONSUL, "a_rolling_upgrade", rolling::a_rolling_upgrade)
        .on_own_where(is_given, &Backend::WITH_CONSUL, "a_lock_changes_hands", locks::a_lock_changes_hands)
        .on_own_where(is_given, &Backend::WITH_CONSUL, "parts_of_one_partition", locks::parts_of_one_partition)
        .run()
}
