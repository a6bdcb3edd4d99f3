//! etcd's v2 API: one read, then one long poll after the other.

use reqwest::{Client, Response};
use serde::Deserialize;

use crate::Result;
use crate::members::Members;

#[derive(Deserialize)]
struct Read {
    node: Directory,
}

#[derive(Deserialize)]
struct Directory {
    #[serde(default)]
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Change {
    node: Node,
}

#[derive(Deserialize)]
struct Node {
    key: String,
    value: Option<String>,
    #[serde(rename = "modifiedIndex")]
    modified: u64,
}

pub(crate) async fn follow(url: &str, directory: &str, mut members: Members) -> Result<()> {
    let client = Client::builder().no_proxy().build()?;
    let address = format!("{url}/v2/keys{directory}");
    let prefix = format!("{directory}/");
    let read = client.get(&address).send().await?.error_for_status()?;
    let mut index = index(&read)?;
    for node in serde_json::from_slice::<Read>(&read.bytes().await?)?.node.nodes {
        apply(&mut members, &node, &prefix)?;
    }
    members.write().await?;
    loop {
        let poll = format!("{address}?wait=true&recursive=true&waitIndex={}", index + 1);
        let answer = client.get(poll).send().await?.error_for_status()?;
        let change: Change = serde_json::from_slice(&answer.bytes().await?)?;
        apply(&mut members, &change.node, &prefix)?;
        index = change.node.modified;
        members.write().await?;
    }
}

fn index(answer: &Response) -> Result<u64> {
    Ok(answer.headers().get("X-Etcd-Index").ok_or("an answer without an index")?.to_str()?.parse()?)
}

fn apply(members: &mut Members, node: &Node, prefix: &str) -> Result<()> {
    let name = node.key.strip_prefix(prefix).ok_or("a key outside of the directory")?;
    match &node.value {
        Some(value) => members.put(name, value.as_bytes()),
        None => members.remove(name),
    }
}
