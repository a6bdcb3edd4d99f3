//! etcd's v3 API: one read, then one watch.

use etcd_client::{Client, EventType, GetOptions, WatchOptions};

use crate::Result;
use crate::members::Members;

pub(crate) async fn follow(url: &str, directory: &str, mut members: Members) -> Result<()> {
    let prefix = format!("{directory}/");
    let mut client = Client::connect([url], None).await?;
    // The whole directory in one answer; by default no more than 4 MiB are taken.
    let mut keys = client.kv_client().max_decoding_message_size(usize::MAX);
    let read = keys.get(prefix.as_str(), Some(GetOptions::new().with_prefix())).await?;
    let revision = read.header().ok_or("an answer without a header")?.revision();
    for record in read.kvs() {
        members.put(name(record.key(), &prefix)?, record.value())?;
    }
    drop(read);
    members.write().await?;
    let options = WatchOptions::new().with_prefix().with_start_revision(revision + 1);
    let mut watch = client.watch(prefix.as_str(), Some(options)).await?;
    while let Some(message) = watch.message().await? {
        for event in message.events() {
            let record = event.kv().ok_or("an event without a key")?;
            let name = name(record.key(), &prefix)?;
            match event.event_type() {
                EventType::Put => members.put(name, record.value())?,
                EventType::Delete => members.remove(name)?,
            }
        }
        if !message.events().is_empty() {
            members.write().await?;
        }
    }
    Err("the watch has ended".into())
}

fn name<'a>(key: &'a [u8], prefix: &str) -> Result<&'a str> {
    Ok(std::str::from_utf8(key)?.strip_prefix(prefix).ok_or("a key outside of the directory")?)
}
