//! What can go wrong with one request, and how it is told.

use registry_core::{Error, ErrorKind};

/// Error codes of the v2 API that mean something to this client.
pub(crate) mod code {
    pub(crate) const KEY_NOT_FOUND: u64 = 100;
    pub(crate) const COMPARE_FAILED: u64 = 101;
    pub(crate) const NOT_A_FILE: u64 = 102;
    pub(crate) const NOT_A_DIRECTORY: u64 = 104;
    pub(crate) const NODE_EXISTS: u64 = 105;
    pub(crate) const WATCHER_CLEARED: u64 = 400;
    pub(crate) const HISTORY_CLEARED: u64 = 401;
}

/// What etcd says when it understood a request and does not carry it out.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) endpoint: String,
    pub(crate) code: u64,
    pub(crate) message: String,
    pub(crate) cause: String,
}

impl Refusal {
    /// True when there is no entry: no such key, or something else in its place or above it.
    pub(crate) fn is_absence(&self) -> bool {
        [code::KEY_NOT_FOUND, code::NOT_A_FILE, code::NOT_A_DIRECTORY].contains(&self.code)
    }

    /// The error for a refusal that the operation did not expect.
    pub(crate) fn into_error(self, key: &str) -> Error {
        let Refusal { endpoint, code, message, cause } = self;
        match code {
            // A file where a directory should be, or the other way round: waiting does not mend it.
            code::NOT_A_FILE => Error::config(format!("{endpoint}: {key}: {cause} is a directory, not an entry")),
            code::NOT_A_DIRECTORY => Error::config(format!("{endpoint}: {key}: {cause} is an entry, not a directory")),
            code::HISTORY_CLEARED | code::WATCHER_CLEARED => {
                Error::new(ErrorKind::Compacted, format!("{endpoint}: {key}: {message}: {cause}"))
            }
            _ => Error::new(
                ErrorKind::Unexpected,
                format!("{endpoint}: {key}: etcd refused ({code}): {message}: {cause}"),
            ),
        }
    }
}
