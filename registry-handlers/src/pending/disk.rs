//! One small file for each file of which somebody has still to be told; none when all are told.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::digest;
use crate::write::{Temporary, remove_all_leftovers};

#[derive(Serialize, Deserialize)]
struct Record {
    /// For a human, and against two paths that share a name here.
    dest: String,
    pending: BTreeSet<String>,
}

pub(super) fn prepare(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    // Whoever was killed while writing it down left half of it, under a name that nobody would use again.
    remove_all_leftovers(directory);
    // A directory that is there may not be ours to write, which is better known now than after the first change.
    Temporary::create(directory, OsStr::new("probe")).map(drop)
}

/// Who is still to be told. What cannot be read counts as everybody: to tell twice is better than never.
pub(super) fn load(directory: &Path, dest: &Path, everybody: &[String]) -> BTreeSet<String> {
    let path = path(directory, dest);
    let found = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return BTreeSet::new(),
        found => found,
    };
    left(found, &path, dest, everybody)
}

/// What a file that was there says.
fn left(found: io::Result<Vec<u8>>, path: &Path, dest: &Path, everybody: &[String]) -> BTreeSet<String> {
    let record = found.and_then(|bytes| Ok(serde_json::from_slice::<Record>(&bytes)?));
    match record {
        Ok(record) if record.dest == dest.to_string_lossy() => record.pending,
        Ok(_) => BTreeSet::new(),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "cannot read what is pending: everybody is told");
            everybody.iter().cloned().collect()
        }
    }
}

pub(super) fn save(directory: &Path, dest: &Path, pending: &BTreeSet<String>) -> io::Result<()> {
    let path = path(directory, dest);
    if pending.is_empty() {
        return match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    let record = Record { dest: dest.to_string_lossy().into_owned(), pending: pending.clone() };
    let mut temporary = Temporary::create(directory, path.file_name().unwrap_or_default())?;
    temporary.fill(&serde_json::to_vec(&record)?)?;
    temporary.file().sync_all()?;
    temporary.rename(&path)?;
    File::open(directory)?.sync_all()
}

/// A path is too long and has the wrong characters for a name.
fn path(directory: &Path, dest: &Path) -> PathBuf {
    directory.join(format!("pending-{:016x}.json", digest(dest.as_os_str().as_bytes())))
}

/// A file that a crash, or somebody else, has left behind: what is cut off or damaged is told to everybody, and what was
/// written is read.
///
/// # Panics
/// When that does not hold.
#[cfg(feature = "fuzzing")]
pub(crate) fn file(bytes: &[u8]) {
    let (path, dest) = (Path::new("/state/pending.json"), Path::new("/run/app/members.json"));
    let everybody = ["web".to_owned(), "db".to_owned()];
    let read = |bytes: &[u8]| left(Ok(bytes.to_vec()), path, dest, &everybody);
    let pending = read(bytes);
    if serde_json::from_slice::<Record>(bytes).is_err() {
        assert!(everybody.iter().all(|name| pending.contains(name)), "somebody is never told");
    }
    let record = Record { dest: dest.to_string_lossy().into_owned(), pending: pending.clone() };
    let written = serde_json::to_vec(&record).expect("texts can always be written");
    assert_eq!(read(&written), pending);
    for length in 0..written.len() {
        let some = read(&written[..length]);
        assert!(everybody.iter().all(|name| some.contains(name)), "a part is taken for the whole: {some:?}");
    }
}
