//! Telling by a command.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::time::Duration;

use processes::{Command, Input, Output, Processes};

use crate::check::said;
use crate::news::Message;
use crate::text::shown;

/// How much of each output is kept.
const OUTPUT: Output = Output::Capture { limit: 8192 };

#[derive(Debug)]
pub(super) struct Exec {
    program: String,
    command: Command,
}

impl Exec {
    /// `key` is where the argument list is written.
    pub(super) fn new(key: &str, argv: &[String]) -> Result<Self, String> {
        let [program, arguments @ ..] = argv else {
            return Err(format!("`{key}` is missing: the program and its arguments"));
        };
        if program.is_empty() {
            return Err(format!("the program in `{key}` is empty"));
        }
        let command = Command::new(program).args(arguments).stdout(OUTPUT).stderr(OUTPUT);
        Ok(Self { program: shown(program, 100), command })
    }

    /// Runs it to its end. The model is on stdin; the environment names only what has a bounded size, because that is
    /// limited to 128 KiB.
    pub(super) async fn run(&self, message: &Message, timeout: Duration, processes: &Processes) -> Result<(), String> {
        let json = message.json().map_err(|error| format!("cannot write the model: {error}"))?;
        let clusters: Vec<_> = message.indices.keys().map(|name| &**name).collect();
        let indices: Vec<_> = message.indices.values().map(ToString::to_string).collect();
        let paths: Vec<_> = message.paths.iter().map(|path| path.as_os_str().as_bytes()).collect();
        let command = self
            .command
            .clone()
            .stdin(Input::Bytes(json))
            .env("CLUSTER_CONTROL_EVENT", "changed")
            .env("CLUSTER_CONTROL_CLUSTER", clusters.join(","))
            .env("CLUSTER_CONTROL_FILE", OsString::from_vec(paths.join(&b':')))
            .env("CLUSTER_CONTROL_INDEX", indices.join(","))
            .env("CLUSTER_CONTROL_MEMBERS_COUNT", message.count().to_string());
        let outcome = processes.run_to_end(command, timeout).await.map_err(|error| error.to_string())?;
        let said = said(&outcome);
        if outcome.success() {
            tracing::debug!(program = self.program, "succeeded{said}");
            return Ok(());
        }
        let what = if outcome.timed_out { format!("took longer than {timeout:?}") } else { outcome.status.to_string() };
        Err(format!("{} {what}{said}", self.program))
    }
}
