use std::fmt;

/// Why a server could not be had, in words for the person who runs the tests.
pub struct Error(String);

/// What the functions of this crate return.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// For `map_err`: puts what was being done in front of why it failed.
    pub(crate) fn because<E: fmt::Display>(what: impl fmt::Display) -> impl FnOnce(E) -> Self {
        move |why| Self(format!("{what}: {why}"))
    }

    /// Whether another process took the port between the moment it was found free and the server's start: by the
    /// words of the engine ("port is already allocated", "address already in use") and of etcd.
    pub(crate) fn is_port_clash(&self) -> bool {
        self.0.contains("address already in use") || self.0.contains("port is already allocated")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The same as `Display`, for `unwrap` shows the reason in this form.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}
