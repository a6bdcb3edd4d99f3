//! Consul: a witness of states, one blocking query after the other.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::sleep;

use super::http::get;
use crate::history::{Members, Recorder, Seen, What};
use crate::stores::PREFIX;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pair {
    key: String,
    value: Option<String>,
    create_index: u64,
}

pub(super) async fn follow(endpoint: String, recorder: Recorder) {
    let mut last = 0;
    let mut told: Option<Members> = None;
    loop {
        let path = format!("/v1/kv{PREFIX}/?recurse&consistent&index={last}&wait=4s");
        let Ok(answer) = get(&endpoint, &path, Duration::from_secs(8)).await else {
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (index, members) = (answer.number("x-consul-index"), members(answer.status, &answer.body));
        let (Some(index), Some(members)) = (index, members) else {
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        // As Consul's documentation asks: an index that goes back begins anew.
        last = if index < last { 0 } else { index };
        if told.as_ref() != Some(&members) {
            recorder.record(What::State { index, members: members.clone() });
            told = Some(members);
        }
    }
}

fn members(status: u16, body: &str) -> Option<Members> {
    match status {
        404 => Some(Members::new()),
        200 => {
            let pairs: Vec<Pair> = serde_json::from_str(body).ok()?;
            let prefix = PREFIX.trim_start_matches('/');
            let entry = |pair: Pair| {
                let key = pair.key.strip_prefix(prefix)?.to_owned();
                let value = decode(pair.value.as_deref().unwrap_or_default())?;
                Some((key, Seen { created: pair.create_index, value }))
            };
            Some(pairs.into_iter().filter_map(entry).collect())
        }
        _ => None,
    }
}

/// The values under test are short texts.
fn decode(text: &str) -> Option<String> {
    use base64::Engine;
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text).ok()?).ok()
}
