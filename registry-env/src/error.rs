//! What is wrong with a variable, without its value: that may be anything.

use registry_core::Error;

/// An error that names the variable and what to do.
pub(crate) fn in_variable(name: &str, what: &str) -> Error {
    Error::config(format!("the variable {name}: {what}"))
}

/// Nothing can be written into an environment.
pub(crate) fn read_only() -> Error {
    Error::unsupported("the members stand in environment variables: nothing can be registered or removed")
}
