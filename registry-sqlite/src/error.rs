//! What `SQLite` says, in the words of the contract.

use std::path::Path;

use registry_core::{Error, ErrorKind, Retry, printable};
use rusqlite::ErrorCode;

/// Names the file, and what to do where that is known.
pub(crate) fn from_sqlite(path: &Path, error: &rusqlite::Error) -> Error {
    let code = error.sqlite_error_code();
    let (kind, advice) = match code {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (ErrorKind::Unavailable, "is busy"),
        Some(ErrorCode::DiskFull) => (ErrorKind::Unavailable, "cannot grow: the disk is full"),
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            (ErrorKind::Config, "is not a registry; remove it, and name another file if it is something else")
        }
        Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            (ErrorKind::PermissionDenied, "cannot be written by this user")
        }
        Some(ErrorCode::CannotOpen) => (ErrorKind::Config, "cannot be opened"),
        _ => (ErrorKind::Unavailable, "failed"),
    };
    // It repeats what stands in the file, which anybody may have written.
    let why = printable(&error.to_string());
    Error::new(kind, format!("the store {} {advice}", path.display())).because(why)
}

/// Somebody wants to write where this process only reads.
pub(crate) fn read_only(path: &Path) -> Error {
    let message = format!("the store {} is open for reading only", path.display());
    Error::new(ErrorKind::PermissionDenied, message)
}

/// A worker that panicked or was shut down.
pub(crate) fn interrupted(path: &Path) -> Error {
    let message = format!("the store {} was interrupted", path.display());
    Error::new(ErrorKind::Unavailable, message).with_retry(Retry::Later)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_file_writes_on_no_terminal() {
        let said = format!("malformed database schema (\u{1b}[2J\n{})", "x".repeat(10_000));
        let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(11), Some(said));
        let error = from_sqlite(Path::new("/run/registry.db"), &error);
        assert_eq!(error.kind(), ErrorKind::Config);
        let said = error.to_string();
        assert!(said.len() < 500 && !said.contains(char::is_control), "{said}");
    }
}
