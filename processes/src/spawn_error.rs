//! Why a process could not be started.

use std::ffi::OsStr;
use std::{fmt, io};

/// Why a process could not be started. The message names the program and what to do.
#[derive(Debug)]
pub struct SpawnError {
    kind: SpawnErrorKind,
    program: String,
    advice: String,
    source: io::Error,
}

/// The kinds of [`SpawnError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpawnErrorKind {
    /// The program is not there, or the interpreter that it needs is not.
    NotFound,
    /// The program is there and may not or cannot be executed here.
    NotExecutable,
    /// The command itself is wrong: its working directory, a name of a variable, a zero byte.
    Invalid,
    /// The system refused: no process, no memory, no file descriptor left. Trying again later may help.
    Refused,
}

impl SpawnError {
    pub(crate) fn new(kind: SpawnErrorKind, program: &OsStr, advice: impl Into<String>, source: io::Error) -> Self {
        // Escaped, because the name may come from a hostile configuration and ends up in a log or on a terminal.
        let program = format!("{:?}", program.to_string_lossy());
        Self { kind, program, advice: advice.into(), source }
    }

    pub(crate) fn invalid(program: &OsStr, advice: impl Into<String>) -> Self {
        Self::new(SpawnErrorKind::Invalid, program, advice, io::ErrorKind::InvalidInput.into())
    }

    pub(crate) fn refused(program: &OsStr, source: io::Error) -> Self {
        Self::new(SpawnErrorKind::Refused, program, "check the limits of processes, files and memory", source)
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> SpawnErrorKind {
        self.kind
    }

    /// The exit code by which shells, `env` and `timeout` tell these apart: 127 not found, 126 not executable, 1 else.
    pub fn exit_code(&self) -> i32 {
        match self.kind {
            SpawnErrorKind::NotFound => 127,
            SpawnErrorKind::NotExecutable => 126,
            SpawnErrorKind::Invalid | SpawnErrorKind::Refused => 1,
        }
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { program, source, advice, .. } = self;
        write!(f, "cannot start {program}: {source}; {advice}")
    }
}

impl std::error::Error for SpawnError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
