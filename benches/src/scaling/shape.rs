//! Who speaks to the servers, and for whom.

/// What stands between the members and the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Every process speaks to etcd.
    Direct,
    /// etcd's own proxies: watches of one directory become one for each proxy, everything else goes through.
    Proxies,
    /// One agent for each host registers and watches for all of its processes.
    Agents,
}

impl Shape {
    pub(crate) const ALL: [Self; 3] = [Self::Direct, Self::Proxies, Self::Agents];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "every process",
            Self::Proxies => "through etcd's proxies",
            Self::Agents => "an agent per host",
        }
    }
}
