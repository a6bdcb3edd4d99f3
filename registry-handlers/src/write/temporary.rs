//! A file beside the target, until it takes its place.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};

use super::Place;

/// `.NAME.cluster-control.XXXXXXXX`: hidden, and recognised by the next run as ours.
const MARK: &[u8] = b".cluster-control.";
const RANDOM: usize = 8;
/// A file name has at most 255 bytes; what is too long for the addition is cut.
const MAX_NAME: usize = 255 - 1 - MARK.len() - RANDOM;

/// A new file that only its owner can read. It is removed when it is dropped before it was renamed.
///
/// It is locked while it lives, which tells it from one that a killed process has left behind.
#[derive(Debug)]
pub(crate) struct Temporary {
    file: File,
    path: PathBuf,
    kept: bool,
}

impl Temporary {
    pub(crate) fn create(directory: &Path, name: &OsStr) -> io::Result<Self> {
        loop {
            let random: String = std::iter::repeat_with(fastrand::alphanumeric).take(RANDOM).collect();
            let mut own = prefix(name);
            own.extend_from_slice(random.as_bytes());
            let path = directory.join(OsString::from_vec(own));
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => {
                    let temporary = Self { file, path, kept: false };
                    // Not every file system has locks; then a leftover simply stays.
                    let _ = flock(&temporary.file, FlockOperation::NonBlockingLockExclusive);
                    return Ok(temporary);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn fill(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    pub(crate) fn rename(mut self, target: &Path) -> io::Result<()> {
        fs::rename(&self.path, target)?;
        self.kept = true;
        Ok(())
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::debug!(path = %self.path.display(), %error, "cannot remove a temporary file");
        }
    }
}

fn prefix(name: &OsStr) -> Vec<u8> {
    let name = name.as_bytes();
    [b".", &name[..name.len().min(MAX_NAME)], MARK].concat()
}

/// Removes the files that processes have left here for this target, and not those of one that is writing now.
pub(super) fn remove_leftovers(place: &Place) {
    let prefix = prefix(place.name());
    remove_where(&place.directory, |name| name.strip_prefix(&*prefix).is_some_and(is_random));
}

/// The same for every target in a directory of the program's own.
pub(crate) fn remove_all_leftovers(directory: &Path) {
    remove_where(directory, |name| {
        let marked = name.split_at_checked(name.len().saturating_sub(RANDOM));
        marked.is_some_and(|(front, random)| name.starts_with(b".") && front.ends_with(MARK) && is_random(random))
    });
}

fn is_random(name: &[u8]) -> bool {
    name.len() == RANDOM && name.iter().all(u8::is_ascii_alphanumeric)
}

fn remove_where(directory: &Path, is_ours: impl Fn(&[u8]) -> bool) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten().filter(|entry| is_ours(entry.file_name().as_bytes())) {
        match remove_unless_locked(&entry.path()) {
            Ok(true) => tracing::info!(path = %entry.path().display(), "removed what an earlier run left behind"),
            Ok(false) => {}
            Err(error) => tracing::debug!(path = %entry.path().display(), %error, "cannot remove a temporary file"),
        }
    }
}

fn remove_unless_locked(path: &Path) -> io::Result<bool> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() || flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(false);
    }
    fs::remove_file(path).map(|()| true)
}
