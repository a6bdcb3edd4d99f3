//! Putting bytes in place of a file: whole or not at all.
//!
//! Everything here blocks, and a disk may hang: call it from a thread that may block.

mod directory;
mod in_place;
mod owner;
mod place;
mod temporary;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};
use crate::spec::{FileKind, FileSpec, Mode, WriteMethod};
use crate::text::shown;
pub(crate) use owner::Attributes;
pub(crate) use place::Place;
pub(crate) use temporary::{Temporary, remove_all_leftovers};

/// Replaces a file of the program's own in one step: its readers see all of the old bytes or all of the new ones, also
/// after a crash. What an earlier run left beside it, when it was killed, is removed.
///
/// Blocks until the disk has it.
///
/// # Errors
/// [`Config`](crate::ErrorKind::Config) for a path that can be no file; [`Write`](crate::ErrorKind::Write) when it could
/// not be written: the old file stays.
pub fn replace(file: &Path, bytes: impl Into<Vec<u8>>, mode: Mode) -> Result<()> {
    let mut spec = FileSpec::new(FileKind::Lines, Vec::<String>::new(), file);
    (spec.write, spec.mode) = (WriteMethod::Rename, Some(mode));
    let writer = Writer::new(&spec)?;
    writer.remove_leftovers();
    let staged = writer.look().and_then(|place| writer.stage(place, bytes.into(), false));
    let written = staged.and_then(|candidate| candidate.map_or(Ok(true), |candidate| writer.commit(candidate)));
    written.map(drop).map_err(|error| error.about(file))
}

/// Writes one file.
#[derive(Debug)]
pub(crate) struct Writer {
    dest: PathBuf,
    method: WriteMethod,
    wanted: Attributes,
    told_in_place: AtomicBool,
}

/// Bytes that can be checked, and then put in place. Dropped instead, it leaves no trace.
pub(crate) struct Candidate {
    place: Place,
    bytes: Vec<u8>,
    /// Beside the target, to be renamed; or elsewhere, only to be checked.
    temporary: Option<Temporary>,
    rename: bool,
}

impl Writer {
    /// # Errors
    /// `Config` for an owner that does not exist or a path that can be no file.
    pub(crate) fn new(spec: &FileSpec) -> Result<Self> {
        if spec.dest.file_name().is_none() {
            return Err(Error::config(format!("{} is no path of a file", spec.dest.display())));
        }
        // The working directory of a long-running program may change; what the configuration meant does not.
        let dest = std::path::absolute(&spec.dest)
            .map_err(|error| Error::config(format!("{}: {error}", spec.dest.display())))?;
        Ok(Self { dest, method: spec.write, wanted: Attributes::wanted(spec)?, told_in_place: AtomicBool::new(false) })
    }

    /// The absolute path, as it was given: symbolic links are followed when it is written.
    pub(crate) fn dest(&self) -> &Path {
        &self.dest
    }

    /// What is there now.
    pub(crate) fn look(&self) -> Result<Place> {
        Place::find(&self.dest, self.wanted.owner())
    }

    /// Removes what an earlier run that was killed has left beside the target.
    pub(crate) fn remove_leftovers(&self) {
        if let Ok(place) = self.look() {
            temporary::remove_leftovers(&place);
        }
    }

    /// Makes bytes ready, or nothing when the file holds them already; then at most its owner and mode are corrected.
    /// `check` when a file is needed that holds them.
    pub(crate) fn stage(&self, mut place: Place, bytes: Vec<u8>, check: bool) -> Result<Option<Candidate>> {
        if place.holds(&bytes)? {
            self.wanted.correct(&place).map_err(|error| wrong("cannot change the owner or mode", &error))?;
            return Ok(None);
        }
        let exists = place.existing.is_some();
        if self.method != WriteMethod::Inplace || !exists {
            match self.beside(&place, &bytes) {
                Ok(temporary) => return Ok(Some(Candidate { place, bytes, temporary: Some(temporary), rename: true })),
                Err(error) if exists && self.method == WriteMethod::Auto && is_refused(&error) => {}
                Err(error) => return Err(wrong("cannot write a new file beside it", &error)),
            }
        }
        let temporary = if check {
            // The directory may be closed to us, or be watched by somebody who takes every new file for a real one.
            let elsewhere = Temporary::create(&std::env::temp_dir(), place.name()).and_then(|mut temporary| {
                temporary.fill(&bytes)?;
                Ok(temporary)
            });
            Some(elsewhere.map_err(|error| wrong("cannot write a candidate to be checked", &error))?)
        } else {
            None
        };
        Ok(Some(Candidate { place, bytes, temporary, rename: false }))
    }

    fn beside(&self, place: &Place, bytes: &[u8]) -> io::Result<Temporary> {
        let mut temporary = Temporary::create_in(&place.directory, place.name())?;
        temporary.fill(bytes)?;
        self.wanted.or_those_of(place).apply(temporary.file())?;
        temporary.file().sync_all()?;
        Ok(temporary)
    }

    /// Puts it in place; true when that was one atomic step. On an error the old content is there as before (as far as
    /// the file system lets it, when it is written in place).
    pub(crate) fn commit(&self, mut candidate: Candidate) -> Result<bool> {
        if let Some(temporary) = candidate.temporary.take_if(|_| candidate.rename) {
            match temporary.rename(candidate.place.name()) {
                Ok(()) => {
                    candidate.place.sync_directory();
                    return Ok(true);
                }
                // A mount point cannot be replaced.
                Err(error) if self.method == WriteMethod::Auto && is_mounted(&error) => {}
                Err(error) => return Err(wrong("cannot put the new file in its place", &error)),
            }
        }
        if self.method == WriteMethod::Auto && !self.told_in_place.swap(true, Ordering::Relaxed) {
            let dest = self.dest.display();
            tracing::warn!(%dest, "cannot be replaced in one step (a mount point, or a closed directory): written in place");
        }
        // The owner and mode first: what is refused must be refused before the content is new.
        let written = in_place::write(&candidate.place, &candidate.bytes, |file| self.wanted.apply(file));
        written.map_err(|error| wrong("cannot write in place", &error))?;
        Ok(false)
    }
}

impl Candidate {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The file to be checked, if one was asked for.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.temporary.as_ref().map(Temporary::path)
    }
}

/// The directory, or giving a file away, is not allowed; writing to the file itself may be.
fn is_refused(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

fn is_mounted(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ResourceBusy | io::ErrorKind::CrossesDevices)
}

fn wrong(what: &str, error: &io::Error) -> Error {
    Error::write(format!("{what}: {}", shown(&error.to_string(), 200)))
}
