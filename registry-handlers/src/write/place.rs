//! Where a file really is, and what is there now.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use super::directory::{self, Directory};
use super::wrong;
use crate::error::{Error, Result};

/// How much of a file is read at once to be compared.
const PIECE: usize = 64 * 1024;
/// The longest file that is read to be edited: a hosts file is much shorter.
const MAX_EDITED: u64 = 4 * 1024 * 1024;

/// A file's place, with symbolic links resolved: a rename would replace the link itself.
#[derive(Debug)]
pub(crate) struct Place {
    pub(super) directory: Arc<Directory>,
    name: OsString,
    pub(super) existing: Option<Existing>,
}

/// The file that is there now, held open, so that what is asked of it is asked of one file.
#[derive(Debug)]
pub(super) struct Existing {
    pub(super) file: File,
    pub(super) metadata: Metadata,
}

impl Place {
    /// `owner` is who the file is to belong to, if that is said.
    pub(super) fn find(dest: &Path, owner: Option<u32>) -> Result<Self> {
        let (directory, name) = directory::find(dest)?;
        let opened = directory.read(&name).and_then(|file| Ok(Existing { metadata: file.metadata()?, file }));
        let existing = match opened {
            Ok(existing) => Some(existing),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(wrong("cannot read what is there now", &error)),
        };
        if let Some(Existing { metadata, .. }) = &existing {
            if !metadata.is_file() {
                return Err(Error::write("there is something else that is no regular file"));
            }
            directory.check_file(&name, metadata.uid(), owner)?;
        }
        Ok(Self { directory, name, existing })
    }

    /// The file's own name.
    pub(super) fn name(&self) -> &OsStr {
        &self.name
    }

    /// The file that is there now, to be written to.
    pub(super) fn open(&self) -> io::Result<File> {
        let file = self.directory.write(&self.name)?;
        let metadata = file.metadata()?;
        let is_it = |there: &Existing| (there.metadata.dev(), there.metadata.ino()) == (metadata.dev(), metadata.ino());
        if self.existing.as_ref().is_some_and(is_it) {
            Ok(file)
        } else {
            Err(io::Error::other("it was replaced in the meantime"))
        }
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
        if let Err(error) = self.directory.sync() {
            let directory = self.directory.path().display();
            tracing::warn!(%directory, %error, "a renamed file may not survive a power failure");
        }
    }
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
