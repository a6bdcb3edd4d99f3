//! What must hold for what others write, for the fuzz targets. No part of what this crate promises.

use registry_core::{Bytes, Name};

use crate::partition::fuzzing::{block, count};

/// A number of workers is at most the limit, and only a plain number is one.
///
/// # Panics
/// When that does not hold.
pub fn workers(value: &[u8]) {
    let name = Name::new("a").expect("a valid name");
    let read = count(&name, &Bytes::copy_from_slice(value));
    if read > 0 {
        assert_eq!(count(&name, &read.to_string().into()), read);
        assert!(value.trim_ascii().iter().all(u8::is_ascii_digit));
    }
}

/// The names of taken indices, in lines behind the number of workers that somebody wants.
///
/// # Panics
/// When somebody is robbed of his index.
pub fn indices(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    let Some(workers) =
        lines.next().and_then(|text| text.parse().ok()).filter(|workers| (1..=1_000_000).contains(workers))
    else {
        return;
    };
    let names: Vec<_> = lines.filter_map(|line| Name::new(line).ok()).collect();
    block(&names, workers);
}

/// An answer of Couchbase: the names of its nodes and how a rebalance stands; and where a node says that it is.
///
/// # Panics
/// When that does not hold.
#[cfg(feature = "couchbase")]
pub fn couchbase(body: &[u8]) {
    crate::scheduler::couchbase::fuzzing::answer(body);
}
