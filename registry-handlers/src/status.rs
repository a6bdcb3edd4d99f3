//! How files and notifications stand, for those who look from outside.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

use crate::membership::Seen;

/// How one file stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FileStatus {
    /// Its absolute path.
    pub dest: PathBuf,
    /// The last time that this run has replaced its content.
    pub written: Option<Written>,
    /// How often this run has replaced its content.
    pub writes: u64,
    /// True once its content was compared with, or made of, a list of this run.
    pub current: bool,
    /// A change is waiting or being worked on.
    pub busy: bool,
    /// What a guard holds back, and why.
    pub held: Option<String>,
    /// Why the last attempt failed; the file is as it was before.
    pub error: Option<String>,
    /// How often it has failed since it last succeeded.
    pub attempts: u32,
    /// How many members were left out, because this kind of file cannot hold them.
    pub skipped: usize,
    /// What the last attempt was about.
    #[serde(skip)]
    pub(crate) seen: Option<Seen>,
}

/// One successful write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Written {
    /// When; as seconds since 1970 when it is serialised.
    #[serde(serialize_with = "seconds")]
    pub at: SystemTime,
    /// How long the content is.
    pub bytes: usize,
    /// True when it was replaced in one step; false when it was written in place.
    pub atomic: bool,
}

/// How one notification stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NotifyStatus {
    /// Its name.
    pub name: String,
    /// The files of which it has still to tell. Empty: everything that was written is applied.
    pub pending: Vec<PathBuf>,
    /// Notified, and `verify` has not passed since: what was written is not applied, as far as is known.
    pub unverified: bool,
    /// How often it was tried.
    pub runs: u64,
    /// When it last succeeded; as seconds since 1970 when it is serialised.
    #[serde(serialize_with = "maybe_seconds")]
    pub succeeded: Option<SystemTime>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// How often it has failed since it last succeeded.
    pub attempts: u32,
}

/// Everything at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// In the order of the configuration.
    pub files: Vec<FileStatus>,
    /// In the order of the configuration.
    pub notifications: Vec<NotifyStatus>,
}

impl Status {
    /// True when every file holds what the registry last said, and everybody was told.
    pub fn is_settled(&self) -> bool {
        let file = |file: &FileStatus| file.current && !file.busy && file.error.is_none();
        self.files.iter().all(file) && self.notifications.iter().all(|notify| notify.pending.is_empty())
    }
}

fn seconds<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

#[expect(clippy::ref_option, reason = "serde gives a reference to the field")]
fn maybe_seconds<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => seconds(time, serializer),
        None => serializer.serialize_none(),
    }
}
