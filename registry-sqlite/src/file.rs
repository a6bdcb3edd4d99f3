//! The file of the store: who may own it, and whether it is still the one at its path.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind as Io};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use registry_core::{Error, ErrorKind, Result};
use rustix::fs::{Access, AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, access, statfs, utimensat};

/// File systems whose locks do not hold between machines: NFS, SMB, SMB2, CIFS.
const NETWORK: [i64; 4] = [0x6969, 0x517B, 0xFE53_4D42, 0xFF53_4D42];

/// How long to wait for another process that makes the store.
const PATIENCE: Duration = Duration::from_secs(3);

/// Which file it is, whatever its path.
pub(crate) type Identity = (u64, u64);

/// One after the other in this process. Whoever closes a file ends the locks that any connection of the process has on it;
/// so a file is never opened here but to make it, when nobody else can have it open.
static MAKING: Mutex<()> = Mutex::new(());

/// Gives the file a new time of change, by which the file system tells whoever watches the directory.
pub(crate) fn touch(path: &Path) {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let times = Timestamps { last_access: now, last_modification: now };
    if let Err(error) = utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW) {
        tracing::debug!(%error, path = %path.display(), "cannot tell of a change; it is found by looking");
    }
}

/// Makes sure that the file exists, belongs to us, and can be shared safely. False: this user may only read it.
pub(crate) fn prepare(path: &Path) -> Result<(Identity, bool)> {
    let dir = path.parent().filter(|dir| dir.is_absolute());
    let dir = dir.ok_or_else(|| refused(path, "the path must be absolute"))?;
    let me = rustix::process::geteuid().as_raw();
    prepare_directory(dir, me)?;
    let _alone = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let about = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == Io::NotFound => make(dir, path).and_then(|()| fs::symlink_metadata(path)),
        found => found,
    };
    let about = about.map_err(|error| match error.kind() {
        Io::PermissionDenied => no_access(path),
        _ => refused(path, "cannot make or read the store").because(error),
    })?;
    if !about.is_file() {
        return Err(refused(path, "this is not a file (a symbolic link is not followed)"));
    }
    if about.uid() != me && about.uid() != 0 {
        return Err(refused(path, "the store belongs to another user; to read it, add ?read_only=true to its URL"));
    }
    let identity = shared_safely(path, &about)?;
    Ok((identity, is_writable(path)))
}

/// Makes sure that the file can be read, and that nobody but its owner can have written it. Changes nothing.
pub(crate) fn find(path: &Path) -> Result<Identity> {
    let dir = path.parent().filter(|dir| dir.is_absolute());
    let dir = dir.ok_or_else(|| refused(path, "the path must be absolute"))?;
    let about = fs::symlink_metadata(path).map_err(|error| match error.kind() {
        Io::PermissionDenied => no_access(path),
        Io::NotFound => {
            let message = format!("{}: there is no store; it is made by who may write it", path.display());
            Error::new(ErrorKind::Unavailable, message)
        }
        _ => refused(path, "cannot read the store").because(error),
    })?;
    if !about.is_file() {
        return Err(refused(path, "this is not a file (a symbolic link is not followed)"));
    }
    check_directory(dir, about.uid())?;
    shared_safely(path, &about)
}

fn shared_safely(path: &Path, about: &fs::Metadata) -> Result<Identity> {
    if about.permissions().mode() & 0o022 != 0 {
        return Err(refused(path, "other users may write the store; take that right away (chmod go-w)"));
    }
    access(path, Access::READ_OK).map_err(|_| no_access(path))?;
    Ok((about.dev(), about.ino()))
}

pub(crate) fn is_writable(path: &Path) -> bool {
    access(path, Access::WRITE_OK).is_ok()
}

/// Makes the directory if need be, and refuses one in which others could replace the store.
fn prepare_directory(dir: &Path, me: u32) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == Io::AlreadyExists => {}
        Err(error) => return Err(refused(dir, "cannot make the directory").because(error)),
    }
    check_directory(dir, me)
}

fn check_directory(dir: &Path, owner: u32) -> Result<()> {
    let about = fs::metadata(dir).map_err(|error| refused(dir, "cannot read the directory").because(error))?;
    let mode = about.permissions().mode();
    if about.uid() != owner && about.uid() != 0 {
        return Err(refused(dir, "the directory belongs to another user, who could replace the store"));
    }
    if mode & 0o022 != 0 && mode & 0o1000 == 0 {
        return Err(refused(dir, "other users may write in the directory; take that right away (chmod go-w)"));
    }
    let kind = statfs(dir).map_err(|error| refused(dir, "cannot find out the file system").because(error))?.f_type;
    if NETWORK.contains(&kind) {
        return Err(refused(dir, "this is a network file system, whose locks do not hold; use a local one"));
    }
    Ok(())
}

/// Makes an empty file, and takes away what a store that was removed has left beside it: `SQLite` would read it as the
/// new one's. `SQLite` gives the files beside it the mode of the main one.
fn make(dir: &Path, path: &Path) -> io::Result<()> {
    // Against other processes: what they have made by now stays.
    let _alone = lock(dir)?;
    if fs::symlink_metadata(path).is_ok() {
        return Ok(());
    }
    for ending in ["-wal", "-shm", "-journal"] {
        match fs::remove_file(beside(path, ending)) {
            Err(error) if error.kind() != Io::NotFound => return Err(error),
            _ => {}
        }
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map(drop)
}

/// Locks a directory, and gives up after a while: anybody who may read it can hold the lock for ever.
fn lock(dir: &Path) -> io::Result<File> {
    let file = File::open(dir)?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(10)),
            Err(error) => return Err(error.into()),
        }
    }
}

/// A file beside the store, with this ending.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(ending);
    beside.into()
}

/// Changes whenever somebody writes into the file.
pub(crate) type Stamp = (u64, i64, i64);

pub(crate) fn stamp(path: &Path) -> Option<Stamp> {
    fs::symlink_metadata(path).ok().map(|about| (about.size(), about.mtime(), about.mtime_nsec()))
}

/// Which file is at the path now.
pub(crate) fn identity(path: &Path) -> Option<Identity> {
    fs::symlink_metadata(path).ok().map(|about| (about.dev(), about.ino()))
}

fn no_access(path: &Path) -> Error {
    Error::new(ErrorKind::PermissionDenied, format!("{}: no access", path.display()))
}

fn refused(path: &Path, why: &str) -> Error {
    Error::config(format!("{}: {why}", path.display()))
}
