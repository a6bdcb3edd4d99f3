//! Between the contract's types and etcd's.

use etcd_client::proto::{PbKeyValue, PbResponseHeader, PbTxnOpResponse, PbTxnResponse};
use registry_core::{Bytes, Entry, Index, Key, Lease, Name, Scope};

use crate::error::{Answer, Failure};

/// Where paths live on the server: below the configured prefix.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    prefix: String,
}

/// What a range request or a watch covers. Without an end it is the one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: Vec<u8>,
    pub(crate) end: Option<Vec<u8>>,
}

/// What the server has under one key.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) record: Option<PbKeyValue>,
    /// When it was seen.
    pub(crate) index: Index,
}

impl Paths {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// The key on the server.
    pub(crate) fn key(&self, key: &Key) -> String {
        format!("{}{key}", self.prefix)
    }

    /// The range of a scope. That of a directory begins with its `/`, so `/a` never matches `/ab`.
    pub(crate) fn range(&self, scope: &Scope) -> Range {
        match scope {
            Scope::Entry(key) => Range { start: self.key(key).into_bytes(), end: None },
            Scope::Directory(dir) => {
                let path = format!("{}{dir}", self.prefix);
                // `0` is the byte after `/`.
                Range { start: format!("{path}/").into_bytes(), end: Some(format!("{path}0").into_bytes()) }
            }
        }
    }

    /// The name that a server's key has in a scope. `None`: it is not a name; that was reported.
    pub(crate) fn name(&self, scope: &Scope, key: &[u8]) -> Option<Name> {
        let path = str::from_utf8(key).ok().and_then(|path| path.strip_prefix(&self.prefix));
        match path.map(|path| scope.name_of(path)) {
            Some(Ok(Some(name))) => Some(name),
            Some(Err(error)) => {
                tracing::warn!(%scope, %error, "skipped an entry whose name is not valid");
                None
            }
            Some(Ok(None)) | None => {
                let shown: String = key.iter().take(64).flat_map(|byte| byte.escape_ascii()).map(char::from).collect();
                tracing::warn!(%scope, key = %shown, "skipped an entry whose name is not valid");
                None
            }
        }
    }

    /// The entry that a server's record is.
    pub(crate) fn entry(&self, scope: &Scope, epoch: u64, record: PbKeyValue) -> Option<Entry> {
        let name = self.name(scope, &record.key)?;
        let index = Index::new(epoch, record.create_revision.unsigned_abs());
        Some(Entry { name, value: Bytes::from(record.value), index })
    }
}

/// The point of the history at which a response was made.
pub(crate) fn stamp(header: Option<&PbResponseHeader>) -> Answer<Index> {
    let header = header.ok_or_else(|| Failure::unexpected("the server's answer has no header"))?;
    let position = u64::try_from(header.revision)
        .map_err(|_| Failure::unexpected(format!("the server's revision is {}", header.revision)))?;
    Ok(Index::new(epoch(header), position))
}

/// The identity of the history: 0 would mean that it is not known.
pub(crate) fn epoch(header: &PbResponseHeader) -> u64 {
    header.cluster_id.max(1)
}

/// What a transaction decided that puts or deletes, or else reads the one key.
#[derive(Debug)]
pub(crate) enum Decision {
    /// The conditions held.
    Done,
    /// They did not; this is what is there instead.
    Refused(Option<PbKeyValue>),
}

/// Reads a transaction's answer, and when it was made.
pub(crate) fn decision(response: PbTxnResponse) -> Answer<(Decision, Index)> {
    let index = stamp(response.header.as_ref())?;
    if response.succeeded {
        return Ok((Decision::Done, index));
    }
    let found = response.responses.into_iter().find_map(|operation| match operation.response {
        Some(PbTxnOpResponse::ResponseRange(range)) => Some(range.kvs.into_iter().next()),
        _ => None,
    });
    match found {
        Some(record) => Ok((Decision::Refused(record), index)),
        None => Err(Failure::unexpected("the server's answer to a transaction does not say what it read")),
    }
}

/// The id of an etcd lease as the contract's leases carry it.
pub(crate) fn lease_id(id: i64) -> String {
    format!("{id:x}")
}

/// The etcd lease of a contract's lease. `None`: this lease is not one of etcd's.
pub(crate) fn etcd_lease(lease: &Lease) -> Option<i64> {
    // No lease has the id 0: to etcd it means "without a lease", which is everybody's.
    u64::from_str_radix(lease.id(), 16).ok().map(u64::cast_signed).filter(|id| *id != 0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use registry_core::Dir;

    use super::*;

    #[test]
    fn a_directory_is_its_whole_segment() {
        let paths = Paths::new("/pre");
        let scope = Scope::from(Dir::new("/a").unwrap());
        let range = paths.range(&scope);
        assert_eq!((range.start.as_slice(), range.end.as_deref()), (&b"/pre/a/"[..], Some(&b"/pre/a0"[..])));
        let inside = |key: &[u8]| key >= range.start.as_slice() && key < range.end.as_deref().unwrap();
        assert!(inside(b"/pre/a/x") && inside(b"/pre/a/\xff") && !inside(b"/pre/ab/x") && !inside(b"/pre/a"));
        assert_eq!(paths.name(&scope, b"/pre/a/b/c").unwrap().as_str(), "b/c");
        for key in [&b"/a/b"[..], b"/pre/ab", b"/pre/a/", b"/pre/a/\xff", b"/pre/a/..", b"/pre/a/_x"] {
            assert_eq!(paths.name(&scope, key), None, "{}", key.escape_ascii());
        }
    }

    #[test]
    fn a_lease_keeps_its_id() {
        let key = Key::parse("/a/b").unwrap();
        let lease = |id: &str| Lease::new(key.clone(), id, Index::new(1, 2), Duration::from_secs(5));
        for id in [1, 0x1234_5678_9abc_def0, i64::MAX, i64::MIN, -1] {
            assert_eq!(etcd_lease(&lease(&lease_id(id))), Some(id));
        }
        for id in ["", "0", "x", "-1", "12345678123456781"] {
            assert_eq!(etcd_lease(&lease(id)), None, "{id}");
        }
    }

    #[test]
    fn a_revision_is_never_negative() {
        let header = |cluster_id, revision| PbResponseHeader { cluster_id, revision, ..Default::default() };
        assert_eq!(stamp(Some(&header(7, 5))).unwrap(), Index::new(7, 5));
        assert_eq!(stamp(Some(&header(0, 5))).unwrap(), Index::new(1, 5));
        assert!(stamp(Some(&header(7, -1))).is_err() && stamp(None).is_err());
    }
}
