//! Why a file could not be written or a notification not delivered.

use std::fmt;

use crate::text::shown;

/// The result of everything that can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file or notification is described wrongly: nothing was started. Correct the configuration.
    Config,
    /// The content could not be made of these members: a template's undefined variable, a broken marker.
    Render,
    /// The command that checks the content refused it. The old file stays; the same content is not tried again.
    Check,
    /// The file could not be written: the disk, a permission, a missing directory. The old file stays; it is tried again.
    Write,
}

/// What went wrong, with a message that names the file and says what to do. It holds no value of a member.
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    pub(crate) fn render(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Render, message)
    }

    pub(crate) fn write(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Write, message)
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the same attempt may succeed later, although nothing that was read has changed.
    pub fn is_transient(&self) -> bool {
        self.kind == ErrorKind::Write
    }

    /// Says which file it was about.
    pub(crate) fn about(mut self, path: &std::path::Path) -> Self {
        self.message = format!("{}: {}", shown(&path.to_string_lossy(), 200), self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?}: {self})", self.kind)
    }
}

impl std::error::Error for Error {}
