//! The events.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One line of a history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// When, in microseconds of the machine's monotonic clock.
    pub at: u64,
    /// Who says so.
    pub who: String,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// An entry: where it came into being, and its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The position at which it was registered.
    pub created: u64,
    /// Its value.
    pub value: String,
}

/// Entries by their names (in a watcher's words) or their absolute paths (in the oracle's).
pub type Members = BTreeMap<String, Seen>;

/// What a watcher of this store is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Every change, in order.
    Events,
    /// States; what comes and goes between two looks is not seen.
    States,
}

/// One change that a watcher was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// The entry was registered or updated.
    Put {
        /// Which one.
        name: String,
        /// Where it came into being.
        created: u64,
        /// Its value.
        value: String,
    },
    /// The entry is gone.
    Remove {
        /// Which one.
        name: String,
    },
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// The first line: what this history is of.
    Begin {
        /// What the schedule was made of.
        seed: u64,
        /// The store, such as `etcd 3.5`.
        store: String,
        /// The name of the schedule.
        schedule: String,
        /// What its watchers are told.
        mode: Mode,
        /// Whether several changes at once may be what a comparison of lists has shown: exactly the difference, by name.
        compares: bool,
        /// How long an entry outlives its last renewal, in microseconds.
        ttl: u64,
        /// The longest that a registrar may believe in an entry after it went, in microseconds.
        notice: u64,
        /// How long two may hold one lock, in microseconds, because the server itself has let the second one in.
        #[serde(default)]
        overlap: u64,
        /// The same for an index of a partition.
        #[serde(default)]
        overlap_of_parts: u64,
    },
    /// A fault begins or ends; for people.
    Fault {
        /// Which one, on whom.
        does: String,
    },
    /// An administrator is about to remove an entry, whoever has it.
    Evicting {
        /// Its absolute path.
        key: String,
    },
    /// How often a client tried to connect while every connection was reset.
    Attempts {
        /// So often.
        attempts: u64,
        /// In so many microseconds.
        during: u64,
    },
    /// Whoever says this ended without a word, as by SIGKILL: everything that it believed and wanted is over.
    Crashed,
    /// All faults are healed, and everybody had the time to catch up with what was true here.
    Quiet {
        /// Where the oracle stood when that time began.
        position: u64,
    },

    /// The oracle: an entry was registered or updated.
    Put {
        /// Where in the history.
        position: u64,
        /// The absolute path.
        key: String,
        /// Where it came into being: `position` itself when it is registered.
        created: u64,
        /// Its value.
        value: String,
    },
    /// The oracle: an entry is gone.
    Remove {
        /// Where in the history.
        position: u64,
        /// The absolute path.
        key: String,
    },
    /// The oracle: everything up to here was read.
    Drained {
        /// Where in the history.
        position: u64,
    },
    /// The oracle of a store of states: the whole truth at one index.
    State {
        /// The index that the server gave it.
        index: u64,
        /// All entries, by absolute path.
        members: Members,
    },

    /// A watcher subscribes.
    Watching {
        /// To this directory.
        dir: String,
    },
    /// A watcher is told the whole state.
    Snapshot {
        /// As it was here.
        index: u64,
        /// All of it, by name.
        members: Members,
        /// Why.
        cause: String,
    },
    /// A watcher is told changes.
    Changes {
        /// Everything up to here is included.
        index: u64,
        /// In this order.
        changes: Vec<Change>,
    },
    /// A watcher is told that the registry cannot be reached.
    Interrupted {
        /// Why.
        why: String,
    },
    /// A watcher is told that nothing was missed.
    Resumed {
        /// Up to here.
        index: u64,
    },
    /// A watcher was told that there is nothing more to come.
    Ended {
        /// Why.
        why: String,
    },

    /// A registrar wants an entry from now on.
    Announcing {
        /// Its absolute path.
        key: String,
        /// True: only if nobody has it.
        absent: bool,
    },
    /// A registrar believes that its entry stands.
    Held {
        /// Its absolute path.
        key: String,
        /// The token of the ownership.
        token: u64,
    },
    /// It does not any more.
    Unheld {
        /// Its absolute path.
        key: String,
        /// The token that it had.
        token: u64,
        /// When it last believed so.
        last: u64,
        /// The state that it was told.
        state: String,
    },
    /// A registrar was refused: somebody else has the name.
    Conflict {
        /// The absolute path.
        key: String,
    },
    /// A registrar could not give its entry back, and said so: it may stand for its time to live.
    LeftBehind {
        /// Its absolute path.
        key: String,
    },
    /// A registrar begins to give its entry back, or stops wanting it.
    Deregistering {
        /// Its absolute path.
        key: String,
    },

    /// Somebody has a lock.
    Acquired {
        /// Its directory.
        lock: String,
        /// The fencing token.
        token: u64,
    },
    /// Somebody has no lock any more.
    Dropped {
        /// Its directory.
        lock: String,
        /// The token that it had.
        token: u64,
        /// When it last believed to have the lock.
        last: u64,
    },
    /// The resource that a lock guards was written to.
    Wrote {
        /// The lock's directory.
        lock: String,
        /// The token that came with it.
        token: u64,
        /// Whether the resource took it.
        accepted: bool,
    },

    /// A member of a partition has a part.
    Part {
        /// The partition's directory.
        partition: String,
        /// True when the indices are the member's own as long as it holds them.
        stable: bool,
        /// The point of the history that it was computed from.
        index: u64,
        /// Its first index.
        base: u64,
        /// How many it has.
        workers: u64,
        /// How many there are in all.
        total: u64,
    },
    /// A member has no part any more, or another one next.
    NoPart {
        /// The partition's directory.
        partition: String,
        /// When it last believed in its part.
        last: u64,
    },
}
