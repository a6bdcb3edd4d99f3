//! What an answer means.

use registry_core::{Error, ErrorKind, printable};
use registry_http::{Failure, unexpected};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;

/// An answer that is no failure of the server.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) endpoint: String,
    pub(crate) status: StatusCode,
    /// Where the server's view stands; `None` when it does not say.
    pub(crate) index: Option<u64>,
    pub(crate) body: Vec<u8>,
    /// True when the same request may have been carried out before.
    pub(crate) doubtful: bool,
    /// True when the server says that it has left out what the token may not read. It does from 1.11 on.
    pub(crate) filtered: bool,
}

impl Answer {
    /// The error for an answer that the operation did not expect.
    pub(crate) fn unexpected(&self, about: &str) -> Error {
        let said = printable(&String::from_utf8_lossy(&self.body));
        unexpected(&self.endpoint, about, format!("the answer ({}) is not one of Consul: {said:?}", self.status))
    }

    /// Whether these words stand in the answer to a request that failed.
    pub(crate) fn says(&self, words: &str) -> bool {
        self.status != StatusCode::OK && String::from_utf8_lossy(&self.body).contains(words)
    }

    /// Reads a body that should be JSON.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, about: &str) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| self.unexpected(about).because(error))
    }
}

/// Tells refusals and failures of the server from answers.
pub(crate) fn check(label: &str, about: &str, status: StatusCode, body: &[u8], has_token: bool) -> Result<(), Failure> {
    let said = printable(&String::from_utf8_lossy(body));
    if status == StatusCode::FORBIDDEN || status == StatusCode::UNAUTHORIZED {
        let (kind, why) = match (has_token, said.contains("ACL not found")) {
            (false, _) => (ErrorKind::Unauthenticated, "the server wants a token, and none is given".to_owned()),
            (true, true) => (ErrorKind::Unauthenticated, "the server does not know the token".to_owned()),
            (true, false) => (ErrorKind::PermissionDenied, format!("the token does not permit it: {said}")),
        };
        return Err(Failure::Refused(Error::new(kind, format!("{label}: {about}: {why}"))));
    }
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        let message = format!("{label}: {about}: the server cannot serve now ({status}): {said}");
        return Err(Failure::Doubtful(Error::new(ErrorKind::Unavailable, message)));
    }
    Ok(())
}

pub(crate) fn filtered(headers: &HeaderMap) -> bool {
    headers.get("X-Consul-Results-Filtered-By-ACLs").is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

pub(crate) fn index(headers: &HeaderMap) -> Option<u64> {
    headers.get("X-Consul-Index")?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_is_wrong_with_the_token() {
        let kind = |status, body: &str, has_token| match check("h:1", "/a", status, body.as_bytes(), has_token) {
            Err(failure) => Some(failure.into_error().kind()),
            Ok(()) => None,
        };
        assert_eq!(kind(StatusCode::OK, "", false), None);
        assert_eq!(kind(StatusCode::NOT_FOUND, "", false), None);
        assert_eq!(kind(StatusCode::CONFLICT, "", false), None);
        assert_eq!(kind(StatusCode::FORBIDDEN, "Permission denied", false), Some(ErrorKind::Unauthenticated));
        assert_eq!(kind(StatusCode::FORBIDDEN, "ACL not found", true), Some(ErrorKind::Unauthenticated));
        assert_eq!(kind(StatusCode::FORBIDDEN, "Permission denied", true), Some(ErrorKind::PermissionDenied));
        assert_eq!(kind(StatusCode::INTERNAL_SERVER_ERROR, "No cluster leader", true), Some(ErrorKind::Unavailable));
    }
}
