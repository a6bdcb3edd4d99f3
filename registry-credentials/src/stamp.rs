//! Whether a file is still the one that was read.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What changes when a file is replaced or rewritten. Symbolic links are followed: a volume of secrets replaces the
/// directory that they point into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    /// Of a rename onto the name, or of a time of modification that somebody has set back.
    changed: (i64, i64),
}

impl Stamp {
    /// Of a file; of a directory with those of everything in it.
    pub(crate) fn of_all(file: &Path) -> Vec<Option<Self>> {
        let mut stamps = vec![Self::of(file)];
        if let Ok(entries) = std::fs::read_dir(file) {
            let mut inside: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
            inside.sort();
            stamps.extend(inside.iter().map(|file| Self::of(file)));
        }
        stamps
    }

    /// `None`: there is no such file, or it cannot be looked at.
    pub(crate) fn of(file: &Path) -> Option<Self> {
        let about = std::fs::metadata(file).ok()?;
        Some(Self {
            device: about.dev(),
            inode: about.ino(),
            size: about.size(),
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        })
    }
}
