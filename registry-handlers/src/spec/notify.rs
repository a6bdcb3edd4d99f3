//! `[[notify]]`: whom to tell that files have changed, and how.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use crate::duration;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_VERIFY_WITHIN: Duration = Duration::from_secs(10);
const DEFAULT_BASE: Duration = Duration::from_secs(1);
const DEFAULT_MAX: Duration = Duration::from_mins(1);

/// One notification: a named object that any number of files share.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NotifySpec {
    /// The name that files use.
    pub name: String,
    /// How to tell.
    pub kind: NotifyKind,
    /// The signal to the child, for the kind `signal`: `HUP`, `SIGHUP` or `1`.
    pub signal: Option<String>,
    /// The command as an argument list, for the kind `exec`. No shell reads it.
    pub argv: Option<Vec<String>>,
    /// The address to which the model is sent with POST, for the kind `http`. It may hold a secret.
    pub url: Option<String>,
    /// How long one attempt may take.
    #[serde(default = "default_timeout", deserialize_with = "duration::deserialize")]
    pub timeout: Duration,
    /// A command that succeeds when what was written is in use. It is run after each notification, again and again for
    /// [`verify_within`](Self::verify_within); if it has not succeeded by then, the attempt has failed, and the next one
    /// notifies again. It gets what a command of the kind `exec` gets.
    pub verify: Option<Vec<String>>,
    /// How long a notification may take to have its effect.
    #[serde(default = "default_verify_within", deserialize_with = "duration::deserialize")]
    pub verify_within: Duration,
    /// How long to wait between attempts. There is no limit to their number.
    #[serde(default)]
    pub retry: Retry,
    /// The shortest time between the starts of two notifications.
    #[serde(default, deserialize_with = "duration::deserialize")]
    pub min_interval: Duration,
    /// Whether to tell of what was written before the child started. Unless said otherwise: `skip` for a signal, since
    /// the child reads the files when it starts; `run` for everything else.
    pub on_first: Option<OnFirst>,
}

/// How to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum NotifyKind {
    /// A signal to the child.
    Signal,
    /// A command.
    Exec,
    /// An HTTP request.
    Http,
}

/// What to do about files that were written before the child started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFirst {
    /// Tell, when the child is ready.
    Run,
    /// Do not tell. What an earlier run of this program has left untold is told all the same, but for signals.
    Skip,
}

/// How long to wait after a failure: `base`, then twice as long each time, up to `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Retry {
    /// The first wait.
    #[serde(default = "default_base", deserialize_with = "duration::deserialize")]
    pub base: Duration,
    /// The longest wait.
    #[serde(default = "default_max", deserialize_with = "duration::deserialize")]
    pub max: Duration,
}

impl Retry {
    /// Waits from `base` to `max`.
    pub fn new(base: Duration, max: Duration) -> Self {
        Self { base, max }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self::new(DEFAULT_BASE, DEFAULT_MAX)
    }
}

impl NotifySpec {
    /// A command.
    pub fn exec(name: impl Into<String>, argv: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { argv: Some(argv.into_iter().map(Into::into).collect()), ..Self::new(name, NotifyKind::Exec) }
    }

    /// A signal to the child.
    pub fn signal(name: impl Into<String>, signal: impl Into<String>) -> Self {
        Self { signal: Some(signal.into()), ..Self::new(name, NotifyKind::Signal) }
    }

    /// An HTTP request.
    pub fn http(name: impl Into<String>, url: impl Into<String>) -> Self {
        Self { url: Some(url.into()), ..Self::new(name, NotifyKind::Http) }
    }

    fn new(name: impl Into<String>, kind: NotifyKind) -> Self {
        Self {
            name: name.into(),
            kind,
            signal: None,
            argv: None,
            url: None,
            timeout: DEFAULT_TIMEOUT,
            verify: None,
            verify_within: DEFAULT_VERIFY_WITHIN,
            retry: Retry::default(),
            min_interval: Duration::ZERO,
            on_first: None,
        }
    }

    /// Whether what was written before the child started is told.
    pub(crate) fn tells_first(&self) -> bool {
        self.on_first.map_or(self.kind != NotifyKind::Signal, |first| first == OnFirst::Run)
    }
}

/// Without arguments and address: both may hold a secret.
impl fmt::Debug for NotifySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotifySpec").field("name", &self.name).field("kind", &self.kind).finish_non_exhaustive()
    }
}

fn default_timeout() -> Duration {
    DEFAULT_TIMEOUT
}

fn default_verify_within() -> Duration {
    DEFAULT_VERIFY_WITHIN
}

fn default_base() -> Duration {
    DEFAULT_BASE
}

fn default_max() -> Duration {
    DEFAULT_MAX
}
