//! The figures that everything is computed from.

use serde::{Deserialize, Serialize};

use crate::Result;

/// What is measured, what a server may be given, and what is assumed of the members. Anybody may put in his own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Figures {
    pub(crate) cost: Cost,
    pub(crate) limit: Limit,
    pub(crate) members: Members,
}

/// What one of each costs the server. CPU in microseconds of one core, sizes in bytes; the bytes of requests are what the server
/// counts as the messages of both directions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cost {
    pub(crate) renewal_cpu: f64,
    pub(crate) renewal_bytes: f64,
    /// A registration: a lease and an entry.
    pub(crate) registration_cpu: f64,
    pub(crate) registration_bytes: f64,
    /// A change, without those who are told of it.
    pub(crate) change_cpu: f64,
    pub(crate) change_bytes: f64,
    /// Telling one watcher of one change.
    pub(crate) told_cpu: f64,
    pub(crate) told_bytes: f64,
    /// One request of a list, and each member in it.
    pub(crate) page_cpu: f64,
    pub(crate) listed_cpu: f64,
    pub(crate) listed_bytes: f64,
    pub(crate) connection_memory: f64,
    pub(crate) watcher_memory: f64,
    /// A member: its lease and its entry.
    pub(crate) member_memory: f64,
    /// A revision of an entry on the disk, until it is compacted.
    pub(crate) revision_disk: f64,
}

/// What one etcd cluster can give; every member of it has all of the data, and one of them makes all writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limit {
    /// Cores of a server that may be busy in the long run.
    pub(crate) cores: f64,
    /// How many servers answer reads, renewals and watches.
    pub(crate) servers: f64,
    /// Bytes per second of one server.
    pub(crate) network: f64,
    /// Bytes of memory of one server.
    pub(crate) memory: f64,
    /// Bytes of the database: etcd's own recommendation.
    pub(crate) database: f64,
    /// Writes per second that the disk's fsync allows.
    pub(crate) writes: f64,
    /// Leases that etcd ends per second when many run out together; it is a constant of its source.
    pub(crate) expiries: f64,
}

/// What the members are and do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Members {
    /// The time to live, in seconds. Renewed at a third of it, less a spread of up to a fifth.
    pub(crate) ttl: f64,
    /// Members in a directory.
    pub(crate) directory: f64,
    /// Directories that each process follows.
    pub(crate) follows: f64,
    /// Seconds in which every member is replaced once, when the fleet is rolled over: a member leaves and one comes.
    pub(crate) rollout: f64,
    /// Which part of the members may die together: a site, a network.
    pub(crate) die: f64,
    /// Seconds between two comparisons with the list, less a spread of up to a fifth.
    pub(crate) compare: f64,
    /// Members in one page of a list.
    pub(crate) page: f64,
    /// Processes on a host that may share an agent.
    pub(crate) host: f64,
    /// Different directories that the processes of a host follow together.
    pub(crate) host_follows: f64,
    /// Proxies that watch for the others, where there are some.
    pub(crate) proxies: f64,
    /// Seconds of history that are kept.
    pub(crate) history: f64,
}

impl Figures {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        Ok(toml::from_str(text)?)
    }

    pub(crate) fn to_text(&self) -> Result<String> {
        let head = "# What the tables of docs/scaling.md are computed from. Put in your own: `bench scale --figures FILE`.\n\
                    # [cost] is written by `bench costs --save FILE`; the meaning and unit of each is in benches/src/scaling/costs.rs.\n\n";
        Ok(format!("{head}{}", toml::to_string(self)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_figures_are_complete_and_nothing_else() {
        let text = include_str!("../../figures.toml");
        let figures = Figures::parse(text).unwrap();
        assert_eq!(Figures::parse(&figures.to_text().unwrap()).unwrap(), figures);
        assert!(Figures::parse(&format!("{text}\nsurprise = 1\n")).is_err());
    }
}
