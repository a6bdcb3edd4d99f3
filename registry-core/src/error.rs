//! One error for every backend.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// The result of every operation of a registry.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No server answered, or it cannot serve now. State is unknown, never empty.
    Unavailable,
    /// No answer in time. A write may or may not have happened.
    Timeout,
    /// The lease of a registration is gone: its time to live ran out, or the server forgot it.
    LeaseLost,
    /// The entry was removed while its lease still lived: somebody decided so.
    Evicted,
    /// The entry is somebody else's, or a condition did not hold.
    Conflict,
    /// The history before an index is gone, or belongs to another epoch: list again.
    Compacted,
    /// The server does not accept who we are.
    Unauthenticated,
    /// The server knows us and refuses.
    PermissionDenied,
    /// An argument is outside what is allowed; the message names the range.
    InvalidInput,
    /// A URL, file or variable is wrong; the message names it.
    Config,
    /// This backend cannot do that.
    Unsupported,
    /// The server answered what the protocol does not allow.
    Unexpected,
    /// There is more than can be read; the message names the limit. The same call fails until there is less.
    TooLarge,
    /// The task that did this was ended before it knew the outcome: its runtime was shut down, or it panicked. The operation
    /// may have happened or not.
    Aborted,
}

/// Whether the same call may succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// It cannot: something must be changed first.
    Never,
    /// It may: wait (with backoff) and call again.
    Later,
}

/// An error of a registry: its kind, whether to try again, the operation, and the cause.
///
/// The message names the endpoint and the key and never holds a secret.
///
/// A clone costs as much as that of an `Arc`: everybody who shares a subscription is told the same error.
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    retry: Retry,
    operation: &'static str,
    message: String,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of this kind, with a message that says what was wrong and, where possible, what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let retry = match kind {
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Compacted | ErrorKind::Unexpected => Retry::Later,
            _ => Retry::Never,
        };
        Self { inner: Arc::new(Inner { kind, retry, operation: "", message: message.into(), source: None }) }
    }

    /// An argument that is not allowed.
    pub fn invalid_input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// A configuration that is wrong.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// Something that this backend cannot do.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// Names the operation, such as `register`. The first name given stays.
    pub fn during(mut self, operation: &'static str) -> Self {
        if self.inner.operation.is_empty() {
            Arc::make_mut(&mut self.inner).operation = operation;
        }
        self
    }

    /// Adds the cause. It must not hold a secret.
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Arc::make_mut(&mut self.inner).source = Some(Arc::from(source.into()));
        self
    }

    /// Overrides whether to try again.
    pub fn with_retry(mut self, retry: Retry) -> Self {
        Arc::make_mut(&mut self.inner).retry = retry;
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// Whether the same call may succeed later.
    pub fn retry(&self) -> Retry {
        self.inner.retry
    }

    /// The operation that failed; empty when none was named.
    pub fn operation(&self) -> &'static str {
        self.inner.operation
    }

    /// True when waiting may help.
    pub fn is_transient(&self) -> bool {
        self.inner.retry == Retry::Later
    }

    /// True when the server does not accept who we are, or what we want. It may when somebody has changed a permission or
    /// the credentials.
    pub fn is_refusal(&self) -> bool {
        matches!(self.inner.kind, ErrorKind::Unauthenticated | ErrorKind::PermissionDenied)
    }

    /// True when the server could not be reached or did not answer in time.
    pub fn is_unavailable(&self) -> bool {
        matches!(self.inner.kind, ErrorKind::Unavailable | ErrorKind::Timeout)
    }

    /// True when this process does not hold the entry any more, for whatever reason.
    pub fn is_lost(&self) -> bool {
        matches!(self.inner.kind, ErrorKind::LeaseLost | ErrorKind::Evicted | ErrorKind::Conflict)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.inner.operation.is_empty() {
            write!(f, "{}: ", self.inner.operation)?;
        }
        f.write_str(&self.inner.message)?;
        // The causes are part of the message: a log line that says only "transport error" helps nobody.
        let mut last = self.inner.message.clone();
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !last.contains(&text) {
                write!(f, ": {text}")?;
                last = text;
            }
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?}, {:?}: {self})", self.inner.kind, self.inner.retry)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_where_and_why_once() {
        let cause = std::io::Error::other("connection refused");
        let error = Error::new(ErrorKind::Unavailable, "127.0.0.1:2379 does not answer").during("list").because(cause);
        assert_eq!(error.to_string(), "list: 127.0.0.1:2379 does not answer: connection refused");
        assert!(error.is_transient() && error.is_unavailable());
        assert_eq!(error.during("watch").operation(), "list");
    }
}
