//! What the variables of both tools have in common.

use std::ffi::{OsStr, OsString};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use registry_core::{Error, Result};

/// A variable that says yes or no. What is odd is an error only where it would matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Switch {
    #[default]
    Unset,
    Is(bool),
    Odd,
}

impl Switch {
    /// As both tools read it: Go's `strconv.ParseBool`.
    pub(crate) fn read(value: &OsStr) -> Self {
        match value.to_str() {
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Self::Is(true),
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Self::Is(false),
            _ => Self::Odd,
        }
    }

    /// # Errors
    /// `Config`: it is neither `true` nor `false`.
    pub(crate) fn of(self, variable: &str) -> Result<Option<bool>> {
        match self {
            Self::Unset => Ok(None),
            Self::Is(value) => Ok(Some(value)),
            Self::Odd => Err(Error::config(format!("the variable {variable} is neither `true` nor `false`"))),
        }
    }
}

/// The text of a variable. Its value is not shown: it may hold a password.
pub(crate) fn text(variable: &str, value: OsString) -> Result<String> {
    value.into_string().map_err(|_| Error::config(format!("the variable {variable} is not UTF-8")))
}

/// What of a configured URL stays when a variable names other servers: its scheme, and all that comes after the hosts.
pub(crate) fn around_hosts(url: &str) -> (&str, &str) {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    (scheme, rest.find(['/', '?']).map_or("", |at| &rest[at..]))
}

/// The path behind `unix://` as our URLs write it.
///
/// # Errors
/// `Config`: the path is not absolute, and so depends on the working directory.
pub(crate) fn socket(variable: &str, path: &str) -> Result<String> {
    if !path.starts_with('/') {
        return Err(Error::config(format!(
            "the variable {variable} names a socket without its whole path: write `unix:///run/….sock`"
        )));
    }
    Ok(format!("unix:{}", utf8_percent_encode(path, NON_ALPHANUMERIC)))
}
