//! The command that must accept a file's content before it is put in place.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;
use std::time::Duration;

use processes::{Command, Outcome, Output, Processes, SpawnErrorKind};

use crate::error::{Error, ErrorKind, Result};
use crate::spec::FileSpec;
use crate::text::shown;

/// What is replaced by the candidate's path.
const PLACEHOLDER: &[u8] = b"{src}";
/// How much of the command's complaint is kept.
const OUTPUT: Output = Output::Capture { limit: 4096 };

#[derive(Clone, Debug)]
pub(crate) struct Check {
    argv: Vec<String>,
    timeout: Duration,
}

impl Check {
    /// # Errors
    /// `Config` for a command that would not look at the candidate.
    pub(crate) fn new(spec: &FileSpec) -> Result<Option<Self>> {
        let Some(argv) = spec.check.clone() else { return Ok(None) };
        if argv.first().is_none_or(String::is_empty) {
            return Err(Error::config("`check` is empty: write the program and its arguments"));
        }
        if !argv[1..].iter().any(|argument| argument.contains("{src}")) {
            return Err(Error::config(
                "`check` must have {src} among its arguments: it stands for the file to be checked",
            ));
        }
        Ok(Some(Self { argv, timeout: spec.check_timeout }))
    }

    /// Runs it on the candidate.
    ///
    /// # Errors
    /// `Check` when it refuses; `Write` when the system could not start it just now, so that it is tried again.
    pub(crate) async fn run(&self, processes: &Processes, candidate: &Path) -> Result<()> {
        let mut command = Command::new(&self.argv[0]).stdout(OUTPUT).stderr(OUTPUT);
        for argument in &self.argv[1..] {
            command = command.arg(filled(argument, candidate.as_os_str()));
        }
        match processes.run_to_end(command, self.timeout).await {
            Ok(outcome) if outcome.success() => Ok(()),
            Ok(outcome) => Err(Error::new(ErrorKind::Check, self.complaint(&outcome))),
            Err(error) if error.kind() == SpawnErrorKind::Refused => Err(Error::write(format!("the check: {error}"))),
            Err(error) => Err(Error::new(ErrorKind::Check, format!("the check: {error}"))),
        }
    }

    fn complaint(&self, outcome: &Outcome) -> String {
        let program = shown(&self.argv[0], 100);
        let what = if outcome.timed_out { "took too long".to_owned() } else { outcome.status.to_string() };
        format!("the check refused the new content ({program} {what}){}", said(outcome))
    }
}

/// What the command said last: the reason is usually at the end.
pub(crate) fn said(outcome: &Outcome) -> String {
    let text = if outcome.stderr.bytes.is_empty() { outcome.stdout.text() } else { outcome.stderr.text() };
    let text = text.trim_end();
    let skip = text.chars().count().saturating_sub(500);
    let tail: String = text.chars().skip(skip).collect();
    let tail = tail.trim_start();
    if tail.is_empty() { String::new() } else { format!(": {}", shown(tail, 500)) }
}

fn filled(argument: &str, path: &OsStr) -> OsString {
    let mut filled = Vec::new();
    let mut rest = argument.as_bytes();
    while let Some(at) = rest.windows(PLACEHOLDER.len()).position(|window| window == PLACEHOLDER) {
        filled.extend_from_slice(&rest[..at]);
        filled.extend_from_slice(path.as_bytes());
        rest = &rest[at + PLACEHOLDER.len()..];
    }
    filled.extend_from_slice(rest);
    OsString::from_vec(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_in_every_place() {
        assert_eq!(filled("--file={src}:{src}", OsStr::new("/a b")), "--file=/a b:/a b");
        assert_eq!(filled("-t", OsStr::new("/a")), "-t");
        assert_eq!(filled("{src}{src", OsStr::new("{src}")), "{src}{src");
    }
}
