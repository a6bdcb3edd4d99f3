//! Overwriting a file that cannot be replaced.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::Place;

/// Writes, then cuts off what is left of a longer old content. The space is reserved first, so that a full disk is found
/// before the first byte is overwritten; if writing fails all the same, the old content is written back.
pub(super) fn write(place: &Place, bytes: &[u8], prepare: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    let file = place.open()?;
    prepare(&file)?;
    let length = file.metadata()?.len();
    let wanted = bytes.len() as u64;
    if wanted > length {
        match fallocate(&file, FallocateFlags::KEEP_SIZE, 0, wanted) {
            // Not every file system can reserve.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut old = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut old, 0)?;
    if let Err(error) = overwrite(&file, bytes) {
        if let Err(error) = overwrite(&file, &old) {
            let path = place.directory.path().join(place.name());
            tracing::error!(path = %path.display(), %error, "the old content could not be written back");
        }
        return Err(error);
    }
    Ok(())
}

fn overwrite(file: &File, bytes: &[u8]) -> io::Result<()> {
    file.write_all_at(bytes, 0)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_all()
}
