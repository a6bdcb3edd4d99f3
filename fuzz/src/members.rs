//! What stands in a registry or a variable: members and their values.

use registry::{Codec, Instance, Json, NameIsAddress, ValueIsAddress, ValueIsCount};
use registry_core::{Bytes, Entry, Index, Name, Registry, Scope, Snapshot};
use registry_env::EnvRegistry;
use registry_recipes::scheduler::Record;

/// The first line is the name of the entry, the rest its value.
fn entry(data: &[u8]) -> Entry {
    let (name, value) = match data.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (&b"10.0.0.7:80"[..], data),
    };
    let name = std::str::from_utf8(name).ok().and_then(|name| Name::new(name).ok());
    let name = name.unwrap_or_else(|| Name::new("10.0.0.7:80").expect("a valid name"));
    Entry { name, value: Bytes::copy_from_slice(value), index: Index::new(1, 1) }
}

/// What was read can be written, and is then read as the same.
fn there_and_back<C: Codec>(codec: &C, entry: &Entry) -> Option<C::Item> {
    let item = match codec.decode(entry) {
        Ok(item) => item,
        Err(error) => {
            assert!(error.to_string().len() < 2000, "{error}");
            return None;
        }
    };
    let value = codec.encode(&entry.name, &item).expect("what was read can be written");
    let again = codec.decode(&Entry { value, ..entry.clone() }).expect("what was written can be read");
    assert_eq!(again, item);
    Some(item)
}

pub(crate) fn instance(data: &[u8]) {
    let read = there_and_back(&Json, &entry(data));
    if let Some(read) = read {
        plain(&read);
    }
}

pub(crate) fn foreign(data: &[u8]) {
    let entry = entry(data);
    let read = [
        there_and_back(&NameIsAddress::default(), &entry),
        there_and_back(&ValueIsAddress::default(), &entry),
        there_and_back(&ValueIsAddress::default_port(80), &entry),
    ];
    read.iter().flatten().for_each(plain);
    there_and_back(&ValueIsCount, &entry);
}

/// An address can stand in a URL and in a file as it is.
fn plain(instance: &Instance) {
    instance.check().expect("what was read is sound");
    let authority = instance.authority();
    assert!(
        authority.is_ascii() && !authority.contains(|c: char| c.is_ascii_control() || " \"'\\/@?#$`".contains(c)),
        "{authority}"
    );
    assert_eq!(Instance::parse(&authority, None).expect("its own words").authority(), authority);
}

/// The state of one node as its scheduler reads it.
pub(crate) fn record(data: &[u8]) {
    let name = Name::new("s1").expect("a valid name");
    match Record::read(&name, data) {
        Ok(record) => assert_eq!(Record::read(&name, &record.to_bytes()).expect("its own words"), record),
        Err(why) => assert!(why.len() < 2000, "{why}"),
    }
}

/// A fixed list of members: sorted, each once, and the same when it is written down again.
pub(crate) fn env(data: &[u8]) {
    let Some(listed) = list(std::str::from_utf8(data).unwrap_or_default()) else { return };
    let names: Vec<_> = listed.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
    if names.iter().all(|name| !name.contains(',')) {
        assert_eq!(list(&names.join(",")).as_ref(), Some(&listed));
    }
    let json = serde_json::to_string(&names).expect("strings can always be written");
    assert!(names.is_empty() || list(&json).as_ref() == Some(&listed), "{json}");
}

fn list(text: &str) -> Option<Snapshot> {
    let registry = EnvRegistry::new([("CLUSTER_MEMBERS", text)]).ok()?;
    let scope = Scope::from(registry_core::Dir::new("/clusters/web").expect("a valid path"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    Some(runtime.block_on(registry.list(&scope)).expect("a list that was understood can be read"))
}
