//! What must hold for every key and word of a server, for the fuzz targets. No part of what this crate promises.

use std::time::Duration;

use registry_core::{Dir, ErrorKind, Index, Key, Lease, MAX_PATH, Scope};
use tonic::{Code, Status};

use crate::error::Failure;
use crate::version::Version;
use crate::wire::{Paths, etcd_lease, lease_id};

/// A key: it is a name in the scope that leads back to the same key, or it is none.
///
/// # Panics
/// When that does not hold.
pub fn key(key: &[u8]) {
    let paths = Paths::new("/prefix");
    let dir = Dir::new("/clusters/web").expect("a valid path");
    let scope = Scope::from(dir.clone());
    let range = paths.range(&scope);
    if let Some(name) = paths.name(&scope, key) {
        // A path may be too long for a key of ours although its last part is a name.
        match Key::new(&dir, &name) {
            Ok(back) => assert_eq!(paths.key(&back).as_bytes(), key),
            Err(error) => assert!(dir.as_str().len() + 1 + name.as_str().len() > MAX_PATH, "{error}"),
        }
        assert!(key >= &*range.start && range.end.as_deref().is_some_and(|end| key < end));
    }
}

/// A version, and the id of a lease.
///
/// # Panics
/// When that does not hold.
pub fn words(text: &str) {
    let version = Version::parse(text);
    // Who is not known is trusted with nothing.
    assert!(version != Version::UNKNOWN || (version.loses_events() && !version.tells_true_progress()));
    let key = Key::parse("/a/b").expect("a valid path");
    let lease = |id: &str| Lease::new(key.clone(), id, Index::new(1, 2), Duration::from_secs(5));
    if let Some(id) = etcd_lease(&lease(text)) {
        assert!(id != 0 && etcd_lease(&lease(&lease_id(id))) == Some(id));
    }
}

/// What a server says when it refuses, with the code as the first byte: fit for a terminal and a log, and only its own words
/// end a lease or a history.
///
/// # Panics
/// When that does not hold.
pub fn refusal(data: &[u8]) {
    let Some((code, text)) = data.split_first() else { return };
    let (code, text) = (Code::from_i32(i32::from(code % 17)), String::from_utf8_lossy(text));
    for failure in [Failure::said(code, &text), Failure::from(Status::new(code, &*text))] {
        assert!(failure.kind != ErrorKind::LeaseLost || text.contains("lease not found"));
        assert!(failure.kind != ErrorKind::Compacted || text.contains("has been compacted"));
        let said = failure.into_error("list", "/a at h:1").to_string();
        assert!(!said.contains(char::is_control) && said.len() < 200 * 10 + 300, "{said:?}");
    }
}
