//! Where a file really is, and what is there now.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::wrong;
use crate::error::{Error, Result};

/// As many symbolic links as the kernel follows.
const MAX_LINKS: usize = 40;
/// How much of a file is read at once to be compared.
const PIECE: usize = 64 * 1024;
/// The longest file that is read to be edited: a hosts file is much shorter.
const MAX_EDITED: u64 = 4 * 1024 * 1024;

/// A file's place, with symbolic links resolved: a rename would replace the link itself.
#[derive(Debug)]
pub(crate) struct Place {
    pub(super) path: PathBuf,
    pub(super) directory: PathBuf,
    pub(super) existing: Option<Existing>,
}

/// The file that is there now, held open, so that what is asked of it is asked of one file.
#[derive(Debug)]
pub(super) struct Existing {
    pub(super) file: File,
    pub(super) metadata: Metadata,
}

impl Place {
    pub(super) fn find(dest: &Path) -> Result<Self> {
        let (directory, path) = resolve(dest)?;
        let existing = match open(&path) {
            Ok(existing) => Some(existing),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(wrong("cannot read what is there now", &error)),
        };
        if existing.as_ref().is_some_and(|existing| !existing.metadata.is_file()) {
            return Err(Error::write("there is something else that is no regular file"));
        }
        Ok(Self { path, directory, existing })
    }

    /// The file's own name.
    pub(super) fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }

    /// Whether there is a file that is not empty.
    pub(crate) fn has_content(&self) -> bool {
        self.existing.as_ref().is_some_and(|existing| existing.metadata.len() > 0)
    }

    /// What is there now, to be edited.
    pub(crate) fn content(&mut self) -> Result<Vec<u8>> {
        let Some(existing) = &mut self.existing else { return Ok(Vec::new()) };
        if existing.metadata.len() > MAX_EDITED {
            return Err(Error::write(format!("it is longer than {MAX_EDITED} bytes, which is no file to edit")));
        }
        existing.read(MAX_EDITED).map_err(|error| wrong("cannot read what is there now", &error))
    }

    /// Whether these are the bytes that are there now.
    pub(super) fn holds(&mut self, bytes: &[u8]) -> Result<bool> {
        match &mut self.existing {
            Some(existing) if existing.metadata.len() == bytes.len() as u64 => {
                existing.is(bytes).map_err(|error| wrong("cannot read what is there now", &error))
            }
            _ => Ok(false),
        }
    }

    /// Makes a rename last. The file is in place already, so a failure is only told: to report it as one would write the
    /// same bytes again, find them there, and then tell nobody of the change.
    pub(super) fn sync_directory(&self) {
        if let Err(error) = File::open(&self.directory).and_then(|directory| directory.sync_all()) {
            tracing::warn!(directory = %self.directory.display(), %error, "a renamed file may not survive a power failure");
        }
    }
}

fn resolve(dest: &Path) -> Result<(PathBuf, PathBuf)> {
    let mut path = dest.to_owned();
    for _ in 0..MAX_LINKS {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Error::write(format!("{} is no path of a file", path.display())));
        };
        let directory = fs::canonicalize(parent).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                Error::write(format!("the directory {} does not exist: make it, or mount it", parent.display()))
            }
            _ => wrong("cannot enter its directory", &error),
        })?;
        let found = directory.join(name);
        match fs::read_link(&found) {
            Ok(target) => path = directory.join(target),
            // No link, or nothing at all.
            Err(_) => return Ok((directory, found)),
        }
    }
    Err(Error::write("too many symbolic links"))
}

/// Does not wait for the other end if it is a pipe, and does not follow a link that appeared in the meantime.
fn open(path: &Path) -> io::Result<Existing> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    Ok(Existing { file, metadata })
}

impl Existing {
    /// Whether it holds these bytes and no more. It is read in pieces, up to the first one that differs.
    fn is(&mut self, bytes: &[u8]) -> io::Result<bool> {
        self.file.rewind()?;
        let mut piece = vec![0; PIECE.min(bytes.len() + 1)];
        let mut rest = bytes;
        loop {
            match self.file.read(&mut piece) {
                Ok(0) => return Ok(rest.is_empty()),
                Ok(count) => match rest.strip_prefix(&piece[..count]) {
                    Some(after) => rest = after,
                    None => return Ok(false),
                },
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn read(&mut self, limit: u64) -> io::Result<Vec<u8>> {
        // With room for all that is there, and to see that no more is: else it is read in many small pieces.
        let room = (self.metadata.len() + 1).min(limit);
        let mut bytes = Vec::with_capacity(usize::try_from(room).unwrap_or_default());
        self.file.rewind()?;
        (&self.file).take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}
