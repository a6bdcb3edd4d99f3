//! What is done to connections.

use std::time::Duration;

/// What a proxy does, to the connections that are open and to new ones. The default passes everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// What meets a client that connects.
    pub arrival: Arrival,
    /// From clients to the server.
    pub to_server: Way,
    /// From the server to clients.
    pub to_client: Way,
}

/// What meets a client that connects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arrival {
    /// The server.
    #[default]
    Welcome,
    /// Nobody: the kernel refuses the connection, as when no server runs.
    Refuse,
    /// A reset (RST) as soon as it is connected.
    Reset,
}

/// What happens to the bytes in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// Whether they arrive.
    pub flow: Flow,
    /// Each piece that was read at once is passed on so much later, and the next one is read after that.
    pub delay: Duration,
    /// Bytes for each second, on each connection.
    pub rate: Option<u32>,
    /// So many more bytes pass on each connection, counted from when the rule was set; then it is closed in good order on
    /// both sides, in the middle of a message perhaps.
    pub truncate: Option<u64>,
}

/// Whether bytes arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// They do.
    #[default]
    Pass,
    /// Not before this rule ends: a black hole, as when packets are dropped and sent again for as long as it takes.
    Hold,
    /// They are lost for good. A connection that has lost some is reset as soon as this rule ends: no TCP delivers what
    /// comes after a loss.
    Swallow,
    /// The sender seems to have finished: the other side reads the end of the stream (FIN). The opposite direction lives.
    Finish,
}

impl Way {
    /// Nothing arrives until this ends.
    pub fn hold() -> Self {
        Self { flow: Flow::Hold, ..Self::default() }
    }

    /// What is sent is lost, and with it the connection.
    pub fn swallow() -> Self {
        Self { flow: Flow::Swallow, ..Self::default() }
    }

    /// The stream ends in this direction.
    pub fn finish() -> Self {
        Self { flow: Flow::Finish, ..Self::default() }
    }

    /// Everything arrives later.
    pub fn delayed(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }

    /// Everything arrives slowly.
    pub fn slow(bytes_per_second: u32) -> Self {
        Self { rate: Some(bytes_per_second), ..Self::default() }
    }

    /// The connection ends after so many more bytes.
    pub fn truncated(bytes: u64) -> Self {
        Self { truncate: Some(bytes), ..Self::default() }
    }

    /// How long a piece is kept before it is passed on.
    pub(super) fn wait(&self, bytes: usize) -> Duration {
        let at_rate =
            self.rate.map_or(0.0, |rate| f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / f64::from(rate.max(1)));
        self.delay + Duration::from_secs_f64(at_rate)
    }
}

impl Rules {
    /// A black hole both ways, also for new connections, which are accepted and hear nothing.
    pub fn black_hole() -> Self {
        Self { to_server: Way::hold(), to_client: Way::hold(), ..Self::default() }
    }

    /// Whoever connects is reset; what is open stays. Call [`reset`](super::Proxy::reset) as well to break that too.
    pub fn resetting() -> Self {
        Self { arrival: Arrival::Reset, ..Self::default() }
    }

    /// Whoever connects is refused; what is open stays.
    pub fn refusing() -> Self {
        Self { arrival: Arrival::Refuse, ..Self::default() }
    }

    /// The same in both directions.
    pub fn both(way: Way) -> Self {
        Self { to_server: way, to_client: way, ..Self::default() }
    }
}
