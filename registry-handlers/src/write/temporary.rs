//! A file beside the target, until it takes its place.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};

use super::Place;
use super::directory::Directory;

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
    directory: Arc<Directory>,
    name: OsString,
    path: PathBuf,
    kept: bool,
}

impl Temporary {
    /// In a directory of which the path is trusted.
    pub(crate) fn create(directory: &Path, name: &OsStr) -> io::Result<Self> {
        Self::create_in(&Arc::new(Directory::open(directory)?), name)
    }

    pub(super) fn create_in(directory: &Arc<Directory>, name: &OsStr) -> io::Result<Self> {
        loop {
            let random: String = std::iter::repeat_with(fastrand::alphanumeric).take(RANDOM).collect();
            let mut own = prefix(name);
            own.extend_from_slice(random.as_bytes());
            let name = OsString::from_vec(own);
            match directory.create(&name) {
                Ok(file) => {
                    let path = directory.path().join(&name);
                    let temporary = Self { file, directory: Arc::clone(directory), name, path, kept: false };
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

    /// Takes the place of another name in the same directory.
    pub(crate) fn rename(mut self, name: &OsStr) -> io::Result<()> {
        self.directory.rename(&self.name, name)?;
        self.kept = true;
        Ok(())
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// For a command that is to look at it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = self.directory.remove(&self.name)
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
    let Ok(directory) = Directory::open(directory) else { return };
    remove_where(&directory, |name| {
        let marked = name.split_at_checked(name.len().saturating_sub(RANDOM));
        marked.is_some_and(|(front, random)| name.starts_with(b".") && front.ends_with(MARK) && is_random(random))
    });
}

fn is_random(name: &[u8]) -> bool {
    name.len() == RANDOM && name.iter().all(u8::is_ascii_alphanumeric)
}

fn remove_where(directory: &Directory, is_ours: impl Fn(&[u8]) -> bool) {
    for name in directory.names().into_iter().filter(|name| is_ours(name.as_bytes())) {
        let path = directory.path().join(&name);
        match remove_unless_locked(directory, &name) {
            Ok(true) => tracing::info!(path = %path.display(), "removed what an earlier run left behind"),
            Ok(false) => {}
            Err(error) => tracing::debug!(path = %path.display(), %error, "cannot remove a temporary file"),
        }
    }
}

fn remove_unless_locked(directory: &Directory, name: &OsStr) -> io::Result<bool> {
    let file = directory.read(name)?;
    if !file.metadata()?.is_file() || flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(false);
    }
    directory.remove(name).map(|()| true)
}
