//! What joining, recovering, rebalancing and failing over mean for a kind of cluster.

use std::fmt;

use async_trait::async_trait;

use super::record::State;

/// A node as a driver sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Which run of the node it is.
    pub session: String,
    /// Where it is, exactly as it announced it.
    pub address: String,
    /// How far it is.
    pub state: State,
}

/// Among whom something is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// The node that acts: the driver's own.
    pub node: Member,
    /// The node through which others join. It may be the own one, and is when no other is known.
    pub master: Member,
    /// All nodes, the own one and the master among them, sorted by session. To join and to rebalance: those that have a
    /// state. To fail over: those that are announced, as they announce it.
    pub members: Vec<Member>,
}

impl Context {
    /// True when the own node is the one through which others join.
    pub fn is_master(&self) -> bool {
        self.node.session == self.master.session
    }

    /// Who can be asked to do without the own node: the master, or another clustered member when the own node is the
    /// master; the own node when there is no other.
    pub fn witness(&self) -> &Member {
        let others = || self.members.iter().filter(|member| member.session != self.node.session);
        if !self.is_master() {
            return &self.master;
        }
        others().find(|member| member.state == State::Clustered).unwrap_or(&self.node)
    }
}

/// What joining came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// It is a member now.
    Anew,
    /// It was one already: it is recovered before the cluster is rebalanced.
    Already,
}

/// Why a driver could not do what it was asked to. It is tried again.
#[derive(Debug)]
pub struct DriverError {
    message: String,
}

impl DriverError {
    /// An error with a message for a person, which must not hold a secret.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl fmt::Display for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DriverError {}

/// Acts on the own node and its cluster.
///
/// # Contract
///
/// *One at a time.* The scheduler calls nothing of this while a call is under way.
///
/// *As long as it takes.* A call returns when the step is done; the node's announcement is renewed meanwhile. It should
/// have a limit of its own, after which it fails.
///
/// *Again.* What failed is called again, with a growing wait and a new context, so a step that was done already must
/// succeed. It may also be called again after a success, when the node is told to begin anew.
///
/// # Cancel safety
///
/// Every future may be dropped at any time: the process is asked to stop.
#[async_trait]
pub trait Driver: Send + Sync + 'static {
    /// Makes the node part of the cluster, through the master. The master itself prepares the cluster instead.
    async fn join(&self, context: &Context) -> Result<Joined, DriverError>;

    /// Asks that a node which was a member before keeps its data. Called before [`rebalance`](Driver::rebalance), and
    /// only when it was one.
    async fn recover(&self, context: &Context) -> Result<(), DriverError>;

    /// Spreads the data over all members, the node included, and waits until that is done.
    async fn rebalance(&self, context: &Context) -> Result<(), DriverError>;

    /// Hands the node's part over to the other members, for it is about to stop.
    async fn failover(&self, context: &Context) -> Result<(), DriverError>;
}
