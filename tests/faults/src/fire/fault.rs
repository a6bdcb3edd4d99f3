//! What can go wrong.

use std::fmt;

use test_servers::Version;

use crate::stores::Kind;

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Connections are reset, and new ones refused.
    Cut,
    /// Nothing arrives, in either direction; connections stay open.
    BlackHole,
    /// What clients send does not arrive.
    RequestsHeld,
    /// What the server answers does not arrive, while it does what it is asked.
    AnswersHeld,
    /// What the server answers is lost for good, and then the connection.
    AnswersLost,
    /// The server seems to have finished, in the middle of everything.
    HalfClosed,
    /// Answers end after some bytes.
    Truncated,
    /// Everything takes half a second longer, each way.
    Delayed,
    /// A few thousand bytes for each second.
    Slow,
    /// Whoever connects is reset.
    ResetStorm,
    /// Connections break, again and again, with little time in between.
    Reconnects,
    /// The server is killed, and comes back with its data.
    ServerKilled,
    /// The server is stopped in good order, and comes back.
    ServerRestarted,
    /// The server hangs.
    ServerFrozen,
    /// The history is compacted while clients are away, after changes that they have not seen.
    Compacted,
    /// More than a thousand changes at once, while some clients are away.
    Burst,
    /// An administrator removes entries.
    Evicted,
    /// Clients are frozen for longer than their entries live.
    ClientFrozen,
    /// A client is killed, and another one takes its place.
    ClientKilled,
    /// Clients leave in good order, and come back.
    ClientLeft,
    /// The leader of a cluster hangs for longer than a TTL, and goes on: it may end leases that are alive.
    LeaderFrozen,
    /// Another member is made to lead.
    LeaderDeposed,
    /// The other members do not hear from the leader, nor it from them. Clients reach it.
    LeaderCutOff,
    /// The leader is killed, and comes back with its data.
    LeaderKilled,
    /// The leader is removed, and an empty member is added in its place, which learns at first.
    LeaderReplaced,
    /// The file of every member is compacted, one after the other.
    Defragmented,
    /// The members are upgraded from 3.4 to 3.5, one after the other, with their data.
    Upgraded,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 27] = [
        Self::Cut,
        Self::BlackHole,
        Self::RequestsHeld,
        Self::AnswersHeld,
        Self::AnswersLost,
        Self::HalfClosed,
        Self::Truncated,
        Self::Delayed,
        Self::Slow,
        Self::ResetStorm,
        Self::Reconnects,
        Self::ServerKilled,
        Self::ServerRestarted,
        Self::ServerFrozen,
        Self::Compacted,
        Self::Burst,
        Self::Evicted,
        Self::ClientFrozen,
        Self::ClientKilled,
        Self::ClientLeft,
        Self::LeaderFrozen,
        Self::LeaderDeposed,
        Self::LeaderCutOff,
        Self::LeaderKilled,
        Self::LeaderReplaced,
        Self::Defragmented,
        Self::Upgraded,
    ];

    /// True when it is about the members of a cluster.
    pub fn is_of_members(self) -> bool {
        matches!(
            self,
            Self::LeaderFrozen
                | Self::LeaderDeposed
                | Self::LeaderCutOff
                | Self::LeaderKilled
                | Self::LeaderReplaced
                | Self::Defragmented
                | Self::Upgraded
        )
    }

    /// True when this can happen to that store. What a cluster is there for are its members: the rest is tried on one server.
    pub fn applies_to(self, kind: Kind) -> bool {
        if kind.is_cluster() || self.is_of_members() {
            let is_old = kind == Kind::EtcdCluster(Version::V3_4);
            return kind.is_cluster() && self.is_of_members() && (self != Self::Upgraded || is_old);
        }
        match self {
            Self::Compacted => kind.compacts(),
            Self::Cut
            | Self::Reconnects
            | Self::Burst
            | Self::Evicted
            | Self::ClientFrozen
            | Self::ClientKilled
            | Self::ClientLeft => true,
            _ => kind.has_server(),
        }
    }

    /// What happens, in a few words.
    pub fn says(self) -> &'static str {
        match self {
            Self::Cut => "connections reset, new ones refused",
            Self::BlackHole => "black hole, both ways",
            Self::RequestsHeld => "black hole towards the server",
            Self::AnswersHeld => "black hole towards the client (half-open)",
            Self::AnswersLost => "answers swallowed, then a reset",
            Self::HalfClosed => "half-closed by the server's side",
            Self::Truncated => "answers cut after some bytes",
            Self::Delayed => "everything late by half a second",
            Self::Slow => "a few thousand bytes each second",
            Self::ResetStorm => "every new connection reset",
            Self::Reconnects => "connections broken again and again",
            Self::ServerKilled => "server killed (SIGKILL), back with its data",
            Self::ServerRestarted => "server stopped (SIGTERM), back with its data",
            Self::ServerFrozen => "server frozen (SIGSTOP)",
            Self::Compacted => "history compacted while away",
            Self::Burst => "more than 1000 changes while away",
            Self::Evicted => "entry removed by an administrator",
            Self::ClientFrozen => "client frozen for twice its time to live",
            Self::ClientKilled => "client killed, another one in its place",
            Self::ClientLeft => "client leaves in good order and comes back",
            Self::LeaderFrozen => "leader frozen for longer than a TTL",
            Self::LeaderDeposed => "another leader by `move-leader`",
            Self::LeaderCutOff => "leader cut off from the others",
            Self::LeaderKilled => "leader killed, back with its data",
            Self::LeaderReplaced => "leader removed, an empty learner in its place",
            Self::Defragmented => "every member defragmented",
            Self::Upgraded => "members upgraded from 3.4 to 3.5 in place",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.says())
    }
}
