//! What can go wrong with one request, and how it is told.

use std::fmt::Display;
use std::time::Duration;

use registry_core::{Error, ErrorKind};

/// Why one endpoint gave no answer that can be used.
#[derive(Debug)]
pub enum Failure {
    /// The request was certainly not carried out.
    NotSent(Error),
    /// A write may have been carried out or not.
    Doubtful(Error),
    /// The server does not accept who we are: nothing was carried out. Another one may know us, or this one later.
    Refused(Error),
    /// Every endpoint would say the same.
    Final(Error),
}

impl Failure {
    /// The error for the caller.
    pub fn into_error(self) -> Error {
        match self {
            Self::NotSent(error) | Self::Doubtful(error) | Self::Refused(error) | Self::Final(error) => error,
        }
    }
}

/// What a transport error says, without the URL: the endpoint and what it is about are named by the caller. `lost` says what
/// else may be the matter with a connection that was lost, and `fault` with the files that it needs.
pub(crate) fn transport(
    endpoint: &str,
    about: &str,
    lost: &str,
    fault: Option<&str>,
    error: reqwest::Error,
) -> Failure {
    let error = error.without_url();
    let fault = fault.map(|fault| format!(" ({fault})")).unwrap_or_default();
    if error.is_connect() {
        let message = format!("{endpoint}: {about}: no answer{fault}");
        return Failure::NotSent(Error::new(ErrorKind::Unavailable, message).because(error));
    }
    let message = format!("{endpoint}: {about}: the connection was lost{lost}{fault}");
    Failure::Doubtful(Error::new(ErrorKind::Unavailable, message).because(error))
}

/// No answer in time.
pub fn late(endpoint: &str, about: &str, limit: Duration) -> Failure {
    Failure::Doubtful(Error::new(ErrorKind::Timeout, format!("{endpoint}: {about}: no answer within {limit:?}")))
}

/// An answer that the protocol does not allow.
pub fn unexpected(endpoint: &str, about: &str, what: impl Display) -> Error {
    Error::new(ErrorKind::Unexpected, format!("{endpoint}: {about}: {what}"))
}
