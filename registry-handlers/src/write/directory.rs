//! Directories that are held open, and the way to the one of a file.
//!
//! A path is looked up again by each system call that is given it, and whoever may write to one of its directories decides each
//! time where it leads. So the way is gone once, a directory at a time, and what follows happens in the directory that was
//! found.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, fstat, openat, readlinkat, renameat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::wrong;
use crate::error::{Error, Result};

/// As many symbolic links as the kernel follows.
const MAX_LINKS: usize = 40;
/// Neither waits for the other end of a pipe, nor follows a link, nor makes a terminal ours.
const CAREFUL: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const STICKY: u32 = 0o1000;
const WRITABLE_FOR_OTHERS: u32 = 0o022;

/// A directory that is held open, and the path on which it was found.
#[derive(Debug)]
pub(crate) struct Directory {
    fd: OwnedFd,
    path: PathBuf,
    owner: u32,
    mode: u32,
}

/// What a name in a directory is.
enum Found {
    Nothing,
    Directory(Directory),
    Link { target: PathBuf, owner: u32 },
    Other,
}

/// Finds the directory of a file, and its name there. Symbolic links are followed if they belong to this process, to the owner
/// of the directory that they are in, or to root, who may write everywhere: the kernel's rule for directories in which everybody
/// may put links (`fs.protected_symlinks`), which it may be told not to keep.
pub(super) fn find(dest: &Path) -> Result<(Arc<Directory>, OsString)> {
    let no_path = || Error::write(format!("{} is no path of a file", dest.display()));
    let (mut at, mut left, mut links) =
        (Directory::open(Path::new("/")).map_err(|error| entering(&error))?, Vec::new(), 0);
    push(&mut left, dest);
    loop {
        let name = left.pop().ok_or_else(no_path)?;
        let is_last = left.is_empty();
        if name == ".." {
            at = at.parent().map_err(|error| entering(&error))?;
            continue;
        }
        match at.look(&name, is_last).map_err(|error| entering(&error))? {
            Found::Link { target, owner } => {
                at.check_link(&name, owner)?;
                links += 1;
                if links > MAX_LINKS {
                    return Err(Error::write("too many symbolic links"));
                }
                if target.is_absolute() {
                    at = Directory::open(Path::new("/")).map_err(|error| entering(&error))?;
                }
                push(&mut left, &target);
            }
            _ if is_last => return Ok((Arc::new(at), name)),
            Found::Directory(next) => at = next,
            Found::Nothing => {
                let rest = left[1..].iter().rev();
                let missing = rest.fold(at.path.join(&name), |path, name| path.join(name));
                let missing = missing.display();
                return Err(Error::write(format!("the directory {missing} does not exist: make it, or mount it")));
            }
            Found::Other => {
                let path = at.path.join(&name);
                return Err(Error::write(format!("{} is no directory", path.display())));
            }
        }
    }
}

/// The parts of a path, the first one on top.
fn push(left: &mut Vec<OsString>, path: &Path) {
    let part = |component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    let parts: Vec<_> = path.components().filter_map(part).collect();
    left.extend(parts.into_iter().rev());
}

fn entering(error: &io::Error) -> Error {
    wrong("cannot enter its directory", error)
}

impl Directory {
    /// Opens a directory of which the path is trusted.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::of(openat(CWD, path, DIRECTORY, Mode::empty())?, path.to_owned())
    }

    fn of(fd: OwnedFd, path: PathBuf) -> io::Result<Self> {
        let stat = fstat(&fd)?;
        Ok(Self { fd, path, owner: stat.st_uid, mode: stat.st_mode })
    }

    fn parent(&self) -> io::Result<Self> {
        let mut path = self.path.clone();
        path.pop();
        Self::of(openat(&self.fd, "..", DIRECTORY, Mode::empty())?, path)
    }

    fn look(&self, name: &OsStr, is_last: bool) -> io::Result<Found> {
        if !is_last {
            // Said to be a directory, it is mounted if it is one that is mounted when it is used.
            match openat(&self.fd, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty()) {
                Ok(fd) => return Ok(Found::Directory(Self::of(fd, self.path.join(name))?)),
                Err(Errno::NOENT) => return Ok(Found::Nothing),
                Err(Errno::NOTDIR | Errno::LOOP) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let fd = match openat(&self.fd, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(Found::Nothing),
            Err(error) => return Err(error.into()),
        };
        let stat = fstat(&fd)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            return Ok(Found::Other);
        }
        // Of the very link that was looked at.
        let target = readlinkat(&fd, "", Vec::new())?;
        Ok(Found::Link { target: OsString::from_vec(target.into_bytes()).into(), owner: stat.st_uid })
    }

    fn trusts(&self, owner: u32) -> bool {
        owner == self.owner || owner == geteuid().as_raw() || owner == 0
    }

    fn check_link(&self, name: &OsStr, owner: u32) -> Result<()> {
        if self.trusts(owner) {
            return Ok(());
        }
        Err(Error::write(format!(
            "{} is a symbolic link of user {owner}, who owns neither its directory nor this process: it is not followed; remove \
             it, or name the file itself",
            self.path.join(name).display()
        )))
    }

    /// Refuses a file that somebody else has put in a directory in which everybody may put files. It would stay his: what is
    /// written to it could be read and changed by him.
    pub(super) fn check_file(&self, name: &OsStr, owner: u32, wanted: Option<u32>) -> Result<()> {
        let is_shared = self.mode & STICKY != 0 && self.mode & WRITABLE_FOR_OTHERS != 0;
        if !is_shared || self.trusts(owner) || wanted == Some(owner) {
            return Ok(());
        }
        Err(Error::write(format!(
            "{} belongs to user {owner}, in a directory where everybody may put files: it is not written; remove it, or say \
             `owner = \"{owner}\"`",
            self.path.join(name).display()
        )))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens what is there under this name, never through a link.
    pub(super) fn read(&self, name: &OsStr) -> io::Result<File> {
        Ok(openat(&self.fd, name, OFlags::RDONLY | CAREFUL, Mode::empty())?.into())
    }

    pub(super) fn write(&self, name: &OsStr) -> io::Result<File> {
        Ok(openat(&self.fd, name, OFlags::RDWR | CAREFUL, Mode::empty())?.into())
    }

    /// Makes a file that only its owner can read. `AlreadyExists` when there is anything of this name.
    pub(super) fn create(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | CAREFUL;
        Ok(openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    pub(super) fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(renameat(&self.fd, from, &self.fd, to)?)
    }

    pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.fd, name, AtFlags::empty())?)
    }

    /// Makes what was renamed here last.
    pub(super) fn sync(&self) -> io::Result<()> {
        File::from(self.readable()?).sync_all()
    }

    /// The names of all that is here, as far as it can be read.
    pub(super) fn names(&self) -> Vec<OsString> {
        let Ok(entries) = self.readable().and_then(|fd| Ok(Dir::new(fd)?)) else { return Vec::new() };
        let names = entries.flatten().map(|entry| OsString::from_vec(entry.file_name().to_bytes().to_vec()));
        names.filter(|name| name != "." && name != "..").collect()
    }

    fn readable(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(openat(&self.fd, ".", flags, Mode::empty())?)
    }
}
