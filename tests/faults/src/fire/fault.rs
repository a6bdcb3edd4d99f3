//! What can go wrong.

use std::fmt;

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
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 20] = [
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
    ];

    /// True when this can happen to that store.
    pub fn applies_to(self, kind: Kind) -> bool {
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
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.says())
    }
}
