//! What a client is in the world: said in words, so that it can be told to a process of its own.

use std::fmt;
use std::str::FromStr;

use registry::{Dir, Key};
use registry_recipes::partition::Cluster;

use super::{Context, claim, join, keep, node, register, watch};
use crate::stores::Kind;
use crate::{Error, Result};

/// A role that needs nothing but its store. Prints as `watcher /dir`, and parses that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Follows a directory.
    Watcher(Dir),
    /// Keeps an entry.
    Registrar(Key),
    /// Joins a partition with two workers.
    Member(String),
    /// Claims two stable indices of a partition.
    Claimant(String),
    /// Contends for so many locks below a directory, and for half as many offices.
    Holder(Dir, usize),
    /// Is a node of a scheduler.
    Node(Dir),
}

impl Role {
    /// Plays it, with the times to live of this store.
    ///
    /// # Panics
    /// When the name of a partition is not valid.
    pub async fn play(self, context: Context, kind: Kind) {
        let cluster = |name: &str| Cluster::new(name, None, None).expect("a valid partition");
        match self {
            Self::Watcher(dir) => watch(context, dir).await,
            Self::Registrar(key) => register(context, key, kind.ttl()).await,
            Self::Member(name) => join(context, cluster(&name), 2, kind.ttl()).await,
            Self::Claimant(name) => claim(context, cluster(&name), 2, kind.ttl()).await,
            Self::Holder(dir, count) => keep(context, dir, count, kind.ttl()).await,
            Self::Node(dir) => node(context, dir, kind.ttl()).await,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Watcher(dir) => write!(f, "watcher {dir}"),
            Self::Registrar(key) => write!(f, "registrar {}", key.as_str()),
            Self::Member(name) => write!(f, "member {name}"),
            Self::Claimant(name) => write!(f, "claimant {name}"),
            Self::Holder(dir, count) => write!(f, "holder {count} {dir}"),
            Self::Node(dir) => write!(f, "node {dir}"),
        }
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once(' ') {
            Some(("watcher", dir)) => Ok(Self::Watcher(Dir::new(dir)?)),
            Some(("registrar", key)) => Ok(Self::Registrar(Key::parse(key)?)),
            Some(("member", name)) => Ok(Self::Member(name.to_owned())),
            Some(("claimant", name)) => Ok(Self::Claimant(name.to_owned())),
            Some(("holder", rest)) => match rest.split_once(' ') {
                Some((count, dir)) => Ok(Self::Holder(Dir::new(dir)?, count.parse()?)),
                None => Err(format!("{text:?} is no role").into()),
            },
            Some(("node", dir)) => Ok(Self::Node(Dir::new(dir)?)),
            _ => Err(format!("{text:?} is no role").into()),
        }
    }
}
