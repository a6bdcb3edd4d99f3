//! What must hold for every answer of a server, for the fuzz targets. No part of what this crate promises.

use std::time::Duration;

use registry_core::{Bytes, Dir, Scope, printable};
use registry_http::Failure;
use reqwest::StatusCode;
use serde::de::DeserializeOwned;

use crate::answer::check;
use crate::paths::{Place, Prefix, encode};
use crate::service::{AgentService, Definition, Instance, duplicate_free};
use crate::wire::{Done, Pair, SessionId};

fn whole<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    let read = serde_json::from_slice(body).ok()?;
    let cut = body.trim_ascii_end().len() - 1;
    assert!(serde_json::from_slice::<T>(&body[..cut]).is_err(), "a part of the answer is taken for the whole");
    Some(read)
}

/// The instances of a service: each name once, and what can be registered again comes back as it was.
///
/// # Panics
/// When that does not hold.
pub fn services(body: &[u8]) {
    let _ = whole::<AgentService>(body);
    let Some(instances) = whole::<Vec<Instance>>(body) else { return };
    let named = |instance: &Instance| Some((instance.name().ok()?, instance.record()));
    let entries: Vec<_> = instances.iter().filter_map(named).collect();
    let (count, all) = (entries.len(), duplicate_free(entries));
    assert!(all.len() <= count);
    let dir = Dir::new("/clusters/web").expect("a valid path");
    for (name, record) in all {
        let Ok(key) = dir.key(name.as_str()) else { continue };
        let Ok(made) = Definition::new("id", "web", &key, &record.value, Duration::from_secs(10)) else { continue };
        let text = serde_json::to_string(&made).expect("strings and numbers can always be written");
        let read = serde_json::from_str(&format!(r#"{{"Node":{{"Node":"n"}},"Service":{text}}}"#));
        let read: Instance = read.expect("what is registered can be read");
        let back: (_, Bytes) = (read.name().expect("a name"), read.value());
        assert_eq!(back, (name, record.value), "what was registered comes back as something else");
    }
}

/// Pairs of keys and values, and the answers to transactions and sessions.
///
/// # Panics
/// When that does not hold.
pub fn pairs(body: &[u8]) {
    let _ = (whole::<Done>(body), whole::<SessionId>(body));
    let Some(pairs) = whole::<Vec<Pair>>(body) else { return };
    let prefix = Prefix::new("/prefix".to_owned());
    let scope = Scope::from(Dir::new("/clusters/web").expect("a valid path"));
    for pair in pairs {
        if let Place::At(name) = prefix.place(&scope, &pair.key) {
            assert_eq!(prefix.key(&format!("/clusters/web/{name}")), pair.key);
        }
        assert!(pair.bytes().is_none_or(|bytes| bytes.len() <= body.len()));
        let encoded = encode(&pair.key);
        assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\\\"<>".contains(&byte)), "{encoded}");
    }
}

/// What a server says when it refuses: fit for a terminal and a log, and never an answer.
///
/// # Panics
/// When that does not hold.
pub fn refusal(body: &[u8]) {
    for status in [401, 403, 429, 500, 503] {
        let status = StatusCode::from_u16(status).expect("a status");
        for has_token in [false, true] {
            let refused = check("h:1", "/a", status, body, has_token).map_err(Failure::into_error);
            let error = refused.expect_err("it is taken for an answer");
            assert!(!error.to_string().contains(char::is_control), "{error}");
        }
    }
    let shown = printable(&String::from_utf8_lossy(body));
    assert!(!shown.contains(char::is_control) && shown.len() <= 200 * 10 + 3, "{shown:?}");
}
