//! etcd v2: one long poll for each event. It must not fall a thousand events behind, which is seen by its marks.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::sleep;

use super::http::get;
use crate::history::{Recorder, What};
use crate::stores::PREFIX;

#[derive(Deserialize)]
struct Event {
    action: String,
    node: Node,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    key: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    dir: bool,
    created_index: u64,
    modified_index: u64,
}

pub(super) async fn follow(endpoint: String, recorder: Recorder) {
    let mut last = 0;
    loop {
        let path = format!("/v2/keys{PREFIX}?wait=true&recursive=true&waitIndex={}", last + 1);
        // A poll without an event ends here; the next one asks for the same.
        let event = match get(&endpoint, &path, Duration::from_secs(5)).await {
            Ok(answer) if answer.status == 200 => serde_json::from_str::<Event>(&answer.body).ok(),
            _ => None,
        };
        let Some(Event { action, node }) = event else {
            sleep(Duration::from_millis(20)).await;
            continue;
        };
        let position = node.modified_index;
        last = position;
        let key = node.key.strip_prefix(PREFIX).unwrap_or(&node.key).to_owned();
        if node.dir {
            continue;
        }
        recorder.record(match action.as_str() {
            "delete" | "expire" | "compareAndDelete" => What::Remove { position, key },
            _ => What::Put { position, key, created: node.created_index, value: node.value },
        });
    }
}
