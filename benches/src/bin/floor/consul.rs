//! Consul's keys: one blocking query after the other, each of which reads the whole directory.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::Client;
use serde::Deserialize;

use crate::Result;
use crate::members::Members;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pair {
    key: String,
    value: Option<String>,
}

pub(crate) async fn follow(url: &str, directory: &str, mut members: Members) -> Result<()> {
    let client = Client::builder().no_proxy().build()?;
    let prefix = format!("{}/", directory.trim_start_matches('/'));
    let mut index = 0;
    loop {
        let query = format!("{url}/v1/kv/{prefix}?recurse&index={index}&wait=60s");
        let answer = client.get(query).send().await?.error_for_status()?;
        let now: u64 = answer.headers().get("X-Consul-Index").ok_or("an answer without an index")?.to_str()?.parse()?;
        let pairs: Vec<Pair> = serde_json::from_slice(&answer.bytes().await?)?;
        if std::mem::replace(&mut index, now) == now {
            continue;
        }
        members.clear();
        for pair in pairs {
            let name = pair.key.strip_prefix(&prefix).ok_or("a key outside of the directory")?;
            members.put(name, &BASE64_STANDARD.decode(pair.value.unwrap_or_default())?)?;
        }
        members.write().await?;
    }
}
