//! One error for many.

use registry_core::Error;

/// The same error once more, for everybody who waited for one answer.
pub(crate) fn again(error: &Error) -> Error {
    Error::new(error.kind(), error.to_string()).with_retry(error.retry())
}
