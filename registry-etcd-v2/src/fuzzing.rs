//! What must hold for every answer of a server, for the fuzz targets. No part of what this crate promises.

use registry_core::{Dir, Index, Scope, printable};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::answer::outcome;
use crate::paths::{Place, Prefix, encode, is_within};
use crate::tree;
use crate::wire::{self, Event};

/// A list: what is cut off is never a shorter list, and no entry is outside of what was asked for.
///
/// # Panics
/// When that does not hold.
pub fn list(body: &[u8]) {
    let Ok(found) = tree::parse(body) else { return };
    let cut = body.trim_ascii_end().len() - 1;
    for cut in [cut, cut / 2, cut / 3] {
        assert!(tree::parse(&body[..cut]).is_err(), "a part of the answer is taken for the whole");
    }
    let prefix = Prefix::new("/prefix".to_owned());
    let scope = Scope::from(Dir::new("/clusters/web").expect("a valid path"));
    for leaf in &found.leaves {
        assert!(!leaf.key.is_empty() && leaf.created > 0);
        if let Place::At(name) = prefix.place(&scope, &leaf.key) {
            assert_eq!(prefix.on_server(&format!("/clusters/web/{name}")), leaf.key);
            assert!(is_within(&leaf.key, "/prefix/clusters/web"));
        }
        let encoded = encode(&leaf.key);
        assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\\\"<>".contains(&byte)), "{encoded}");
    }
    assert!(!found.is_entry || found.leaves.len() == 1, "an entry is one entry");
}

/// An event: it is cut off, or broken, or one that names its key.
///
/// # Panics
/// When that does not hold.
pub fn event(body: &[u8]) {
    let Ok(event) = serde_json::from_slice::<Event>(body) else { return };
    let _ = event.effect();
    let cut = body.trim_ascii_end().len() - 1;
    assert!(serde_json::from_slice::<Event>(&body[..cut]).is_err(), "a part of an event is taken for the whole");
}

/// A refusal: only one that says so, of what was asked for, and when, is taken for "there is nothing".
///
/// # Panics
/// When that does not hold.
pub fn refusal(body: &[u8]) {
    let path = "/prefix/clusters/web";
    for (status, position) in [(404, 0), (404, 7), (412, 7), (200, 7), (503, 7)] {
        let status = StatusCode::from_u16(status).expect("a status");
        match outcome("h:1", path, status, Index::new(1, position), body.to_vec()) {
            Ok(Ok(whole)) => assert!(status == StatusCode::OK && whole == body),
            Ok(Err(refusal)) => {
                assert!(position > 0 || refusal.code != 100, "nothing is there, and nobody knows as of when");
                assert!(!refusal.message.contains(char::is_control) && !refusal.cause.contains(char::is_control));
            }
            Err(error) => assert!(!error.to_string().contains(['\u{1b}', '\n']), "{error}"),
        }
    }
    let shown = printable(&String::from_utf8_lossy(body));
    assert!(!shown.contains(char::is_control) && shown.len() <= 200 * 10 + 3, "{shown:?}");
}

/// Headers, one in a line: where the history stands is what they say, and only if they say whose history it is.
///
/// # Panics
/// When that does not hold.
pub fn headers(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else { continue };
        let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) else { continue };
        headers.append(name, value);
    }
    let _ = wire::is_json(&headers);
    if let Some(index) = wire::index(&headers) {
        let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        assert!(index.epoch() > 0 && said("X-Etcd-Cluster-Id").is_some());
        let position = said("X-Etcd-Index").map_or(0, |text| text.trim_start_matches('+').parse().expect("a number"));
        assert_eq!(index.position(), position);
    }
}
