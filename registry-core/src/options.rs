//! What a backend can do, and how an entry is registered.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::entry::MAX_VALUE;
use crate::error::{Error, Result};
use crate::name::Key;

/// The time to live of an entry when none is asked for.
///
/// Short enough that a dead member is forgotten soon; long enough to outlive the election of a new etcd leader,
/// and a leader that hangs for eight seconds without dying.
pub const DEFAULT_TTL: Duration = Duration::from_secs(15);

/// Who serves a registry; holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The scheme of its URL, such as `etcd`.
    pub scheme: &'static str,
    /// Its endpoints (`host:port`, or the file), without credentials.
    pub endpoints: Vec<String>,
}

impl fmt::Display for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.scheme, self.endpoints.join(", "))
    }
}

/// What a backend can do. Ask it instead of learning from an error.
///
/// Made by a constructor and then changed field by field, so that new capabilities do not break old backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent ability; there is no state machine in it")]
pub struct Capabilities {
    /// Entries can be registered, renewed, updated, deregistered and removed.
    pub register: bool,
    /// The shortest time to live that it keeps.
    pub ttl_min: Duration,
    /// The longest time to live that it keeps.
    pub ttl_max: Duration,
    /// An entry that nobody renews may stay for up to this many times its time to live, on a healthy server.
    pub ttl_factor: u32,
    /// And up to this much longer; [`gone_after`](Self::gone_after) takes both together.
    pub ttl_slack: Duration,
    /// The longest value that it keeps, in bytes.
    pub value_max: usize,
    /// Names may hold `/`.
    pub nested_names: bool,
    /// [`Condition::Absent`] and [`Condition::Present`] are decided atomically by the server: a name has one owner. Without
    /// this, several may stand side by side under one name, and what is late with a renewal may come back by it.
    pub conditions: bool,
    /// What a watch delivers.
    pub watch: WatchKind,
    /// A watch can start in the past, as long as the history reaches back.
    pub resume: bool,
    /// Removals say whether the entry was deleted or expired.
    pub removal_reasons: bool,
    /// This server is known to lose events, so the list is read again after every reconnect.
    pub loses_events: bool,
    /// A healthy watch delivers something, if only an empty batch, at least this often.
    pub idle_limit: Duration,
}

/// What a watch delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WatchKind {
    /// Every change, in order.
    Events,
    /// States: what comes and goes between two looks is not seen.
    States,
    /// Nothing, for nothing ever changes.
    Static,
}

impl Capabilities {
    /// A backend that does everything that the contract names.
    pub const fn full() -> Self {
        Self {
            register: true,
            ttl_min: Duration::from_secs(1),
            ttl_max: Duration::from_hours(24),
            ttl_factor: 1,
            ttl_slack: Duration::from_secs(2),
            value_max: MAX_VALUE,
            nested_names: true,
            conditions: true,
            watch: WatchKind::Events,
            resume: true,
            removal_reasons: true,
            loses_events: false,
            idle_limit: Duration::from_secs(30),
        }
    }

    /// A fixed list: it can be read, and never changes.
    pub const fn read_only() -> Self {
        let mut it = Self::full();
        it.register = false;
        it.conditions = false;
        it.watch = WatchKind::Static;
        it
    }

    /// Whether members may have expired because they could not renew while nobody heard from the registry for so long. Some may
    /// have been about to renew when it began, a third of their TTL after the last time.
    pub fn may_have_expired(&self, silence: Duration) -> bool {
        silence >= self.ttl_min * 2 / 3
    }

    /// When an entry with this time to live is gone at the latest after its last renewal, on a healthy server.
    pub fn gone_after(&self, ttl: Duration) -> Duration {
        ttl.saturating_mul(self.ttl_factor).saturating_add(self.ttl_slack)
    }
}

/// When a registration may take place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Condition {
    /// Always; takes the name over from whoever has it.
    #[default]
    Any,
    /// Only if nobody has the name. Makes locks.
    Absent,
    /// Only if somebody has it. The heartbeat of the old start scripts.
    Present,
}

/// What the keeper of an entry watches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OwnWatch {
    /// The entry alone: one more watch for the server, and hardly a message on it.
    #[default]
    Entry,
    /// The whole directory, which costs nothing where somebody subscribes to it on the same handle. For small directories.
    Directory,
    /// Nothing: an eviction is noticed by the next renewal. For a process that keeps thousands of entries.
    None,
}

/// How an entry is registered and kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegisterOptions {
    /// How long the entry outlives its last renewal; [`DEFAULT_TTL`] when not given. There is no entry without one:
    /// what nobody renews must vanish.
    pub ttl: Option<Duration>,
    /// When it may be registered.
    pub condition: Condition,
    /// How often the keeper renews it; a third of the time to live when not given.
    pub renew_every: Option<Duration>,
    /// How the keeper hears at once that its entry is gone, and not only with the next renewal.
    pub own_watch: OwnWatch,
    /// Being lost is final: the keeper does not register again. What proves something by its token, as a lock does, must
    /// not come back with another one.
    pub single_ownership: bool,
}

impl RegisterOptions {
    /// The defaults: 15 seconds, whoever has the name.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the time to live.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Sets the condition.
    pub fn condition(mut self, condition: Condition) -> Self {
        self.condition = condition;
        self
    }

    /// Sets how often the keeper renews. It must be shorter than the time to live.
    pub fn renew_every(mut self, interval: Duration) -> Self {
        self.renew_every = Some(interval);
        self
    }

    /// Lets the keeper rely on renewals alone.
    pub fn without_watch(mut self) -> Self {
        self.own_watch = OwnWatch::None;
        self
    }

    /// Lets the keeper watch the directory of the entry.
    pub fn watch_directory(mut self) -> Self {
        self.own_watch = OwnWatch::Directory;
        self
    }

    /// Makes a loss final.
    pub fn single_ownership(mut self) -> Self {
        self.single_ownership = true;
        self
    }

    /// Checks everything that can be known before a request is made, and returns the time to live.
    ///
    /// Every backend calls this first in `register`.
    ///
    /// # Errors
    /// `Unsupported` or `InvalidInput`; the message names the allowed range.
    pub fn check(&self, able: &Capabilities, key: &Key, value: &Bytes) -> Result<Duration> {
        if !able.register {
            return Err(Error::unsupported(format!(
                "{key}: this registry is read-only, nothing can be registered in it"
            )));
        }
        if self.condition != Condition::Any && !able.conditions {
            return Err(Error::unsupported(format!("{key}: this registry cannot register under a condition")));
        }
        if key.name().is_nested() && !able.nested_names {
            return Err(Error::invalid_input(format!("{key}: a name in this registry holds no `/`")));
        }
        check_length(key, value, able.value_max)?;
        let ttl = self.ttl.unwrap_or(DEFAULT_TTL.clamp(able.ttl_min, able.ttl_max));
        if ttl < able.ttl_min || ttl > able.ttl_max {
            let (min, max) = (able.ttl_min, able.ttl_max);
            return Err(Error::invalid_input(format!(
                "{key}: a time to live of {ttl:?} is not possible here; allowed is {min:?} to {max:?}"
            )));
        }
        if let Some(interval) = self.renew_every
            && (interval.is_zero() || interval >= ttl)
        {
            return Err(Error::invalid_input(format!(
                "{key}: renewing every {interval:?} does not keep a time to live of {ttl:?}; renew at least twice as often"
            )));
        }
        Ok(ttl)
    }
}

/// Checks the size of a value before a request is made.
///
/// # Errors
/// `InvalidInput`; the message names the limit.
pub fn check_value(key: &Key, value: &Bytes) -> Result<()> {
    check_length(key, value, MAX_VALUE)
}

fn check_length(key: &Key, value: &Bytes, limit: usize) -> Result<()> {
    let size = value.len();
    if size > limit {
        return Err(Error::invalid_input(format!("{key}: the value has {size} bytes, and {limit} are allowed")));
    }
    Ok(())
}
