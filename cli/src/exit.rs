//! How the program ends, as a number and as a sentence.

use std::fmt;
use std::path::Path;

use registry::{Error, ErrorKind};

/// What is returned by a command that did what it was asked to.
pub(crate) const OK: u8 = 0;
pub(crate) const ERROR: u8 = 1;
pub(crate) const USAGE: u8 = 2;
pub(crate) const EVICTED: u8 = 3;
pub(crate) const NOT_FOUND: u8 = 4;
/// A lock or an office was lost.
pub(crate) const LOST: u8 = 6;
pub(crate) const UNAVAILABLE: u8 = 69;
pub(crate) const REFUSED: u8 = 77;
pub(crate) const CONFIGURATION: u8 = 78;
pub(crate) const TIMEOUT: u8 = 124;
/// Asked to end before there was a command: what a shell reports for a process that ended by TERM.
pub(crate) const TERMINATED: u8 = 128 + 15;

/// Why a command failed: the exit code and what is said on stderr.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    pub(crate) message: String,
}

/// What every command returns.
pub(crate) type Outcome<T = u8> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The same, with the file that it is about.
    pub(crate) fn of(self, path: &Path) -> Self {
        Self { message: format!("{}: {}", path.display(), self.message), ..self }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(USAGE, message)
    }

    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self::new(CONFIGURATION, message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let code = match error.kind() {
            ErrorKind::Unavailable | ErrorKind::Timeout => UNAVAILABLE,
            ErrorKind::Evicted => EVICTED,
            ErrorKind::Unauthenticated | ErrorKind::PermissionDenied => REFUSED,
            ErrorKind::Config | ErrorKind::Unsupported => CONFIGURATION,
            ErrorKind::InvalidInput => USAGE,
            _ => ERROR,
        };
        Self::new(code, error.to_string())
    }
}

/// What a shell would report: not found, not executable.
impl From<processes::SpawnError> for Failure {
    fn from(error: processes::SpawnError) -> Self {
        Self::new(u8::try_from(error.exit_code()).unwrap_or(ERROR), error.to_string())
    }
}

impl From<registry_handlers::Error> for Failure {
    fn from(error: registry_handlers::Error) -> Self {
        Self::new(ERROR, error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// A process's exit code fits into a byte by construction: a code, or 128 plus a signal.
pub(crate) fn code_of(status: processes::Status) -> u8 {
    u8::try_from(status.exit_code()).unwrap_or(ERROR)
}
