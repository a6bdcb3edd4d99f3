//! Who was a member, for the next run of the same program.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use registry_core::{Bytes, Entry, Index, Name, Snapshot};
use serde::{Deserialize, Serialize};

use crate::digest::digest;
use crate::membership::Membership;
use crate::write::{Temporary, remove_all_leftovers};

/// A file in which a run notes the members of one cluster, so that the next one can tell those that are missing from those that
/// never were. Only its owner can read it, because values may be secrets. Every call blocks.
#[derive(Clone, Debug)]
pub struct Remembered {
    directory: PathBuf,
    name: OsString,
    what: String,
}

/// What an earlier run knew.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Known {
    /// The members. Each has the index of the whole, because their own are not noted.
    pub snapshot: Snapshot,
    /// True when the registry could be reached then, and nothing was suppressed: these were the members.
    pub is_certain: bool,
    /// How long ago that was.
    pub age: Duration,
}

impl Known {
    /// Of these members.
    pub fn new(members: &Membership, is_certain: bool, age: Duration) -> Self {
        let index = members.index;
        let entry = |(name, value): (&Name, &Bytes)| Entry { name: name.clone(), value: value.clone(), index };
        let snapshot = Snapshot { entries: members.members.iter().map(entry).collect(), index };
        Self { snapshot, is_certain, age }
    }
}

#[derive(Serialize, Deserialize)]
struct Record {
    what: String,
    epoch: u64,
    position: u64,
    is_certain: bool,
    members: Vec<(String, Value)>,
}

/// Nearly every value is text.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Value {
    Text(String),
    Bytes(Vec<u8>),
}

impl Remembered {
    /// In this directory, which is made (for its owner alone) when something is noted. `what` says which registry and which
    /// cluster it is about, in words that are the same in the next run, and without secrets.
    pub fn new(directory: impl Into<PathBuf>, what: impl Into<String>) -> Self {
        let what = what.into();
        let name = format!("members-{:016x}.json", digest(what.as_bytes())).into();
        Self { directory: directory.into(), name, what }
    }

    /// What the last run noted; `None` when there is nothing, or nothing that can be believed.
    pub fn load(&self) -> Option<Known> {
        let path = self.directory.join(&self.name);
        let read = || -> io::Result<(Vec<u8>, SystemTime)> { Ok((fs::read(&path)?, fs::metadata(&path)?.modified()?)) };
        let (bytes, at) = match read() {
            Ok(read) => read,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::debug!(path = %path.display(), %error, "cannot read who was a member in the last run");
                }
                return None;
            }
        };
        let record: Record = serde_json::from_slice(&bytes)
            .inspect_err(|error| tracing::debug!(path = %path.display(), %error, "who was a member cannot be read"))
            .ok()?;
        // A clock that was turned back says nothing about the age.
        let age = SystemTime::now().duration_since(at).ok()?;
        if record.what != self.what {
            return None;
        }
        let index = Index::new(record.epoch, record.position);
        let entry = |(name, value): (String, Value)| {
            let value = match value {
                Value::Text(text) => Bytes::from(text),
                Value::Bytes(bytes) => Bytes::from(bytes),
            };
            Some(Entry { name: Name::new(&name).ok()?, value, index })
        };
        let mut entries: Vec<_> = record.members.into_iter().filter_map(entry).collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        entries.dedup_by(|a, b| a.name == b.name);
        Some(Known { snapshot: Snapshot { entries, index }, is_certain: record.is_certain, age })
    }

    /// Notes the members. It does not wait for the disk: what a crash of the machine takes away is not needed.
    ///
    /// # Errors
    /// Of the file system. What was noted before stays then.
    pub fn save(&self, members: &Membership, is_certain: bool) -> io::Result<()> {
        let value = |bytes: &Bytes| match std::str::from_utf8(bytes) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => Value::Bytes(bytes.to_vec()),
        };
        let record = Record {
            what: self.what.clone(),
            epoch: members.index.epoch(),
            position: members.index.position(),
            is_certain,
            members: members.members.iter().map(|(name, bytes)| (name.to_string(), value(bytes))).collect(),
        };
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        // Of a run that was killed while it noted them.
        remove_all_leftovers(&self.directory);
        let mut temporary = Temporary::create(&self.directory, &self.name)?;
        temporary.fill(&serde_json::to_vec(&record)?)?;
        temporary.rename(&self.name)
    }

    /// Nothing has changed since it was saved, and it is as certain.
    ///
    /// # Errors
    /// Of the file system; `NotFound` when nothing was saved.
    pub fn touch(&self) -> io::Result<()> {
        File::options().append(true).open(self.directory.join(&self.name))?.set_modified(SystemTime::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_run_knows_what_this_one_noted() {
        let directory = tempfile::tempdir().unwrap();
        let here = Remembered::new(directory.path().join("state"), "etcd://a /clusters/db");
        assert_eq!(here.load(), None);
        let index = Index::new(3, 42);
        let entry = |name: &str, value: &'static [u8]| Entry {
            name: Name::new(name).unwrap(),
            value: Bytes::from_static(value),
            index,
        };
        let snapshot = Snapshot { entries: vec![entry("a:1", b"one"), entry("b:2", &[0xff, 0x00])], index };
        here.save(&Membership::new(&snapshot), true).unwrap();
        let known = here.load().unwrap();
        assert_eq!((&known.snapshot, known.is_certain), (&snapshot, true));
        assert!(known.age < Duration::from_mins(1));

        let path = directory.path().join("state").join(&here.name);
        let old = SystemTime::now() - Duration::from_secs(100);
        File::options().append(true).open(&path).unwrap().set_modified(old).unwrap();
        assert!(here.load().unwrap().age >= Duration::from_secs(100));
        here.touch().unwrap();
        assert!(here.load().unwrap().age < Duration::from_mins(1));

        // Of another registry, cut off, or from a clock that was turned.
        assert_eq!(Remembered { what: "etcd://b /clusters/db".into(), ..here.clone() }.load(), None);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert_eq!(here.load(), None);
        fs::write(&path, &whole).unwrap();
        File::options()
            .append(true)
            .open(&path)
            .unwrap()
            .set_modified(SystemTime::now() + Duration::from_secs(100))
            .unwrap();
        assert_eq!(here.load(), None);
    }
}
