//! `[[file]]`: what to write, from which clusters, and how.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::Mode;
use crate::duration;

const DEFAULT_WINDOW: Duration = Duration::from_millis(200);
const DEFAULT_CHECK_TIMEOUT: Duration = Duration::from_secs(30);

/// One file that follows the members of one or more clusters.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FileSpec {
    /// What kind of content.
    pub kind: FileKind,
    /// The clusters, by the name under which their members are reported.
    pub watch: Vec<String>,
    /// Where to write. A relative path is below the working directory at the start.
    pub dest: PathBuf,
    /// The template's path, for the kind `template`.
    pub src: Option<PathBuf>,
    /// The shape, for the kind `json`.
    pub shape: Option<Shape>,
    /// The name of the marked block, for the kind `hosts`; `cluster-control` unless said otherwise.
    pub block: Option<String>,
    /// The file's permissions. Unless said otherwise an existing file keeps its own, and a new one gets 0644: the servers
    /// that read such files usually run as another user.
    pub mode: Option<Mode>,
    /// The file's owner, a name or a number. An existing file keeps its own.
    pub owner: Option<String>,
    /// The file's group, a name or a number. An existing file keeps its own.
    pub group: Option<String>,
    /// A command, as an argument list, that must succeed before the content is put in place. `{src}` stands for the path
    /// of the candidate.
    pub check: Option<Vec<String>>,
    /// How long the check may take.
    #[serde(default = "default_check_timeout", deserialize_with = "duration::deserialize")]
    pub check_timeout: Duration,
    /// How to write.
    #[serde(default)]
    pub write: WriteMethod,
    /// What to do when a cluster becomes empty.
    #[serde(default)]
    pub on_empty: OnEmpty,
    /// With fewer members than this in a cluster, nothing is written.
    #[serde(default)]
    pub min_members: usize,
    /// After a change was taken up at once, how long further ones are collected before the next write.
    #[serde(default = "default_window", deserialize_with = "duration::deserialize")]
    pub window: Duration,
    /// Whom to tell after a change, by the names of the notifications.
    #[serde(default)]
    pub notify: Vec<String>,
}

/// What kind of content a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FileKind {
    /// JSON, in one of the [shapes](Shape).
    Json,
    /// The user's own template, in the Jinja2 syntax.
    Template,
    /// Variables for a shell or a dotenv reader: `NAME_COUNT`, `NAME_MEMBERS` and `NAME_HOSTS` for each cluster.
    Env,
    /// One member's name on each line.
    Lines,
    /// A marked block in a hosts file.
    Hosts,
    /// A haproxy `backend` for each cluster.
    Haproxy,
    /// An nginx `upstream` for each cluster. Members that are registered by host name need a `check`: nginx refuses a file
    /// with a name that does not resolve.
    Nginx,
}

/// The shape of a JSON file. With several clusters, each has its part under its name in an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Shape {
    /// `["10.0.0.9:3306"]`, as the original Cluster Control wrote it, without a final newline.
    #[default]
    Names,
    /// `[{"name":…,"value":…,"host":…,"port":…,"data":…}]`; what is not known is left out.
    Full,
    /// `[{"host":…,"port":…}]`, of those that have an address.
    HostPort,
    /// `{"name":value}`; a value that is JSON stands there as such.
    Map,
}

/// How a file is put in place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WriteMethod {
    /// By rename, which readers see as one instant; in place where that is not possible (a mount point, a directory that
    /// may not be written), which is reported.
    #[default]
    Auto,
    /// By rename or not at all.
    Rename,
    /// Always in place, for a file that is mounted into another container: a rename would leave the old one there.
    Inplace,
}

/// What to do when a cluster becomes empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnEmpty {
    /// The last members are kept; right after a start, when none are known, the whole file. An application needs its file, so where there is none (or an empty one) it is written
    /// all the same.
    #[default]
    Keep,
    /// The file is written without members.
    Render,
}

impl FileSpec {
    /// A file with all that can be left out left out.
    pub fn new(kind: FileKind, watch: impl IntoIterator<Item = impl Into<String>>, dest: impl Into<PathBuf>) -> Self {
        Self {
            kind,
            watch: watch.into_iter().map(Into::into).collect(),
            dest: dest.into(),
            src: None,
            shape: None,
            block: None,
            mode: None,
            owner: None,
            group: None,
            check: None,
            check_timeout: DEFAULT_CHECK_TIMEOUT,
            write: WriteMethod::default(),
            on_empty: OnEmpty::default(),
            min_members: 0,
            window: DEFAULT_WINDOW,
            notify: Vec::new(),
        }
    }
}

fn default_window() -> Duration {
    DEFAULT_WINDOW
}

fn default_check_timeout() -> Duration {
    DEFAULT_CHECK_TIMEOUT
}
