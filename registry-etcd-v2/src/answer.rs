//! What an answer means.

use registry_core::{Error, ErrorKind, Index, Result, printable};
use registry_http::unexpected;
use reqwest::StatusCode;

use crate::error::{Refusal, code};
use crate::paths::is_within;
use crate::wire::RefusalBody;

/// A well-formed answer of an etcd.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) endpoint: String,
    /// Where the server's history stands.
    pub(crate) index: Index,
    pub(crate) outcome: std::result::Result<Vec<u8>, Refusal>,
    /// True when another endpoint was asked before and may have carried the same request out.
    pub(crate) doubtful: bool,
}

/// Tells what was carried out from what was refused.
pub(crate) fn outcome(
    label: &str,
    path: &str,
    status: StatusCode,
    index: Index,
    body: Vec<u8>,
) -> Result<std::result::Result<Vec<u8>, Refusal>> {
    if status == StatusCode::OK || status == StatusCode::CREATED {
        return Ok(Ok(body));
    }
    let refusal: RefusalBody = serde_json::from_slice(&body).map_err(|error| {
        unexpected(label, path, format!("the answer ({status}) is not one of etcd v2")).because(error)
    })?;
    let RefusalBody { error_code, message, cause } = refusal;
    // What is missing is named; it may be a directory above.
    if error_code == code::KEY_NOT_FOUND && !is_within(path, &cause) {
        return Err(unexpected(label, path, format!("the answer is about {:?}", printable(&cause))));
    }
    let (message, cause) = (printable(&message), printable(&cause));
    // Whoever looked into the store knows where its history stands; errors of forms do not, and are no news of a key.
    let of_the_store = [code::KEY_NOT_FOUND, code::COMPARE_FAILED, code::NODE_EXISTS, code::HISTORY_CLEARED];
    if index.position() == 0 && of_the_store.contains(&error_code) {
        return Err(unexpected(label, path, format!("the answer ({status}) does not say where the history stands")));
    }
    Ok(Err(Refusal { endpoint: label.to_owned(), code: error_code, message, cause }))
}

/// A 5xx, with etcd's own words where there are some.
pub(crate) fn cannot_serve(label: &str, path: &str, status: StatusCode, body: &[u8]) -> Error {
    let why = match serde_json::from_slice::<RefusalBody>(body) {
        Ok(refusal) => format!(": {}: {}", printable(&refusal.message), printable(&refusal.cause)),
        Err(_) => String::new(),
    };
    Error::new(ErrorKind::Unavailable, format!("{label}: {path}: the server cannot serve now ({status}){why}"))
}

pub(crate) fn switched_off(label: &str) -> Error {
    Error::config(format!(
        "{label}: the v2 API of this server is switched off: start etcd 3.4 or 3.5 with --enable-v2=true \
         (3.6 has none any more), or use the v3 API with an `etcd://` URL"
    ))
}
