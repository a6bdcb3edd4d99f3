//! Finding the program.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::{env, io};

use rustix::fs::Access;
use rustix::io::Errno;

use crate::Command;

/// What the C library searches when there is no `PATH`.
const WITHOUT_PATH: &str = "/bin:/usr/bin";

/// The file to execute.
///
/// The search is done here and not in the C library because that one, depending on how the standard library calls it,
/// runs a file of an unknown format through `/bin/sh`; a command here is never run by a shell that nobody asked for.
/// Relative directories in `PATH` are passed over: which directory they mean would depend on the working directory.
pub(crate) fn find(command: &Command) -> io::Result<PathBuf> {
    let program = &command.program;
    if program.as_bytes().contains(&b'/') {
        return Ok(PathBuf::from(program));
    }
    let mut failure = Errno::NOENT;
    for directory in env::split_paths(&search_path(command)).filter(|directory| directory.is_absolute()) {
        let candidate = directory.join(program);
        if !candidate.is_file() {
            continue;
        }
        match rustix::fs::access(&candidate, Access::EXEC_OK) {
            Ok(()) => return Ok(candidate),
            Err(_) => failure = Errno::ACCESS,
        }
    }
    Err(failure.into())
}

fn search_path(command: &Command) -> OsString {
    let named = command.environment.get(OsStr::new("PATH"));
    let path = match named {
        Some(decided) => decided.clone(),
        None if command.inherit_environment => env::var_os("PATH"),
        None => None,
    };
    path.unwrap_or_else(|| WITHOUT_PATH.into())
}

/// Whether the file is there at all, seen from where the process would start.
pub(crate) fn exists(file: &Path, directory: Option<&Path>) -> bool {
    directory.map_or_else(|| file.to_path_buf(), |directory| directory.join(file)).exists()
}
