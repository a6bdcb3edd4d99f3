//! What the server sends.

use registry_core::{Index, Removed};
use reqwest::header::HeaderMap;
use serde::Deserialize;

/// One entry or directory, without what is in it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Node {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) dir: bool,
    pub(crate) created_index: u64,
    pub(crate) modified_index: u64,
}

/// The answer to a read of one entry, to a write, and to a watch.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    pub(crate) action: String,
    pub(crate) node: Node,
    #[serde(default)]
    pub(crate) prev_node: Option<Node>,
}

/// What an event does to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It is there, and belongs to whoever wrote it; the index at which it came into being is new.
    Created,
    /// It has another value; the index at which it came into being is the same.
    Updated,
    Removed(Removed),
}

impl Event {
    /// `None` for an action that the protocol does not know.
    pub(crate) fn effect(&self) -> Option<Effect> {
        Some(match self.action.as_str() {
            "create" | "set" => Effect::Created,
            "update" | "compareAndSwap" => Effect::Updated,
            "delete" | "compareAndDelete" => Effect::Removed(Removed::Deleted),
            "expire" => Effect::Removed(Removed::Expired),
            _ => return None,
        })
    }
}

/// The body of a refusal.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RefusalBody {
    pub(crate) error_code: u64,
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) cause: String,
}

/// Which history this is, and where it stands: the position is 0 where the server does not say (its raft errors).
/// `None`: this is not an etcd.
pub(crate) fn index(headers: &HeaderMap) -> Option<Index> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let cluster = u64::from_str_radix(text("X-Etcd-Cluster-Id")?, 16).ok()?;
    let position = match text("X-Etcd-Index") {
        Some(position) => position.parse().ok()?,
        None => 0,
    };
    // Epoch 0 means "not known" to the registry; a cluster that is really called 0 takes the next number.
    Some(Index::new(cluster.max(1), position))
}

pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get("Content-Type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_index_needs_a_cluster() {
        let read = |pairs: &[_]| index(&headers(pairs));
        let whole = [("x-etcd-cluster-id", "8cc9da78b36d1115"), ("x-etcd-index", "7")];
        assert_eq!(read(&whole), Some(Index::new(0x8cc9_da78_b36d_1115, 7)));
        assert_eq!(read(&[("x-etcd-cluster-id", "0")]), Some(Index::new(1, 0)));
        assert_eq!(read(&[("x-etcd-index", "7")]), None);
        assert_eq!(read(&[("x-etcd-cluster-id", "x"), ("x-etcd-index", "7")]), None);
        assert_eq!(read(&[("x-etcd-cluster-id", "1"), ("x-etcd-index", "-7")]), None);
    }
}
