//! A service of the catalog, and the entry that it is to a registry.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

use registry_core::{Bytes, Error, Key, Name, Result};
use serde::{Deserialize, Serialize};

use crate::state::Record;
use crate::wire::duration;

/// The name of the entry, where it is not host and port.
const NAME: &str = "cluster-control-name";
/// The value, as it was registered.
const VALUE: &str = "cluster-control-value";
/// Set by an administrator's eviction, for the owner to find.
const EVICTED: &str = "cluster-control-evicted";
/// The longest value of a metadata entry, in bytes.
pub(crate) const META_VALUE: usize = 512;
/// The server removes a service only when it was ill for at least so long.
const REAPED_AFTER: Duration = Duration::from_mins(1);

/// One instance, as the health endpoint shows it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Instance {
    pub(crate) node: Node,
    pub(crate) service: Service,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Node {
    pub(crate) node: String,
    #[serde(default)]
    pub(crate) address: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Service {
    #[serde(rename = "ID")]
    pub(crate) id: String,
    /// Its name, as it was registered.
    #[serde(rename = "Service", default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) tags: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) address: String,
    #[serde(default)]
    pub(crate) port: u16,
    #[serde(default)]
    pub(crate) meta: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(crate) create_index: u64,
    #[serde(default)]
    pub(crate) modify_index: u64,
}

/// A service as the agent shows it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AgentService {
    #[serde(default)]
    pub(crate) meta: Option<BTreeMap<String, String>>,
}

/// What a value of this form says is also told to Consul, and what a stranger's service says is a value of this form.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Described {
    #[serde(default)]
    meta: BTreeMap<String, String>,
    #[serde(default)]
    tags: Vec<String>,
}

impl Instance {
    /// # Errors
    /// `InvalidInput` when it has a name that no entry may have.
    pub(crate) fn name(&self) -> Result<Name> {
        if let Some(name) = self.service.meta.as_ref().and_then(|meta| meta.get(NAME)) {
            return Name::new(name);
        }
        let Service { address, port, .. } = &self.service;
        let host = if address.is_empty() { &self.node.address } else { address };
        let host = if host.parse::<Ipv6Addr>().is_ok() { format!("[{host}]") } else { host.clone() };
        Name::new(&if *port == 0 { host } else { format!("{host}:{port}") })
    }

    pub(crate) fn record(&self) -> Record {
        let Service { id, create_index, modify_index, .. } = &self.service;
        Record { value: self.value(), created: *create_index, modified: *modify_index, owner: Some(Arc::from(&**id)) }
    }

    pub(crate) fn value(&self) -> Bytes {
        let meta = self.service.meta.clone().unwrap_or_default();
        if let Some(value) = meta.get(VALUE) {
            return Bytes::copy_from_slice(value.as_bytes());
        }
        let described = Described { meta, tags: self.service.tags.clone().unwrap_or_default() };
        serde_json::to_vec(&described).unwrap_or_default().into()
    }

    pub(crate) fn is_evicted(&self) -> bool {
        is_evicted(self.service.meta.as_ref())
    }
}

pub(crate) fn is_evicted(meta: Option<&BTreeMap<String, String>>) -> bool {
    meta.is_some_and(|meta| meta.contains_key(EVICTED))
}

/// Each name once: of two services with one name, the younger.
pub(crate) fn duplicate_free(entries: Vec<(Name, Record)>) -> BTreeMap<Name, Record> {
    let mut all = BTreeMap::new();
    for (name, record) in entries {
        match all.entry(name) {
            Slot::Vacant(slot) => drop(slot.insert(record)),
            Slot::Occupied(mut slot) if record.created > slot.get().created => drop(slot.insert(record)),
            Slot::Occupied(_) => {}
        }
    }
    all
}

/// What the agent is told.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Definition {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    tags: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    address: String,
    port: u16,
    meta: BTreeMap<String, String>,
    check: Check,
}

#[derive(Clone, Debug, Serialize)]
struct Check {
    #[serde(rename = "TTL")]
    ttl: String,
    #[serde(rename = "Status")]
    status: &'static str,
    #[serde(rename = "DeregisterCriticalServiceAfter")]
    reaped_after: String,
}

impl Definition {
    /// # Errors
    /// `InvalidInput` for what the catalog cannot keep.
    pub(crate) fn new(id: &str, service: &str, key: &Key, value: &Bytes, ttl: Duration) -> Result<Self> {
        let name = key.name();
        if name.is_nested() {
            return Err(Error::invalid_input(format!("{key}: the catalog has no directories: use a name without `/`")));
        }
        let text = std::str::from_utf8(value).map_err(|error| {
            Error::invalid_input(format!("{key}: the catalog keeps text in UTF-8 only, and this is not")).because(error)
        })?;
        if text.len() > META_VALUE {
            let size = text.len();
            return Err(Error::invalid_input(format!(
                "{key}: the value has {size} bytes, and the catalog keeps {META_VALUE}; use `consul-kv://` for more"
            )));
        }
        // A value that describes a service is understood by those who look at the service.
        let Described { mut meta, tags } = serde_json::from_str(text).unwrap_or_default();
        meta.insert(NAME.to_owned(), name.to_string());
        meta.insert(VALUE.to_owned(), text.to_owned());
        let (address, port) = endpoint(name.as_str());
        let check = Check { ttl: duration(ttl), status: "passing", reaped_after: duration(REAPED_AFTER.max(ttl * 4)) };
        let (id, name) = (id.to_owned(), service.to_owned());
        Ok(Self { id, name, tags, address, port, meta, check })
    }

    /// The same instance, marked for its owner.
    pub(crate) fn evicted(service: &str, instance: &Instance) -> Self {
        let Service { id, tags, address, port, meta, .. } = instance.service.clone();
        let mut meta = meta.unwrap_or_default();
        meta.insert(EVICTED.to_owned(), "true".to_owned());
        let reaped_after = duration(REAPED_AFTER);
        let check = Check { ttl: duration(REAPED_AFTER), status: "critical", reaped_after };
        Self { id, name: service.to_owned(), tags: tags.unwrap_or_default(), address, port, meta, check }
    }
}

/// Host and port of a name such as `10.0.0.7:80` or `[::1]:80`; another name has neither.
fn endpoint(name: &str) -> (String, u16) {
    match name.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>())) {
        Some((host, Ok(port))) if !host.is_empty() => (host.trim_matches(['[', ']']).to_owned(), port),
        _ => (String::new(), 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(text: &str) -> Instance {
        serde_json::from_str(text).unwrap()
    }

    fn definition(name: &str, value: &str) -> Result<Definition> {
        let key = Key::parse("/clusters/web/x").unwrap().dir().key(name).unwrap();
        Definition::new("id", "web", &key, &Bytes::copy_from_slice(value.as_bytes()), Duration::from_secs(10))
    }

    #[test]
    fn a_strangers_service_is_named_by_where_it_listens() {
        let of = |service: &str| {
            let text = format!(r#"{{"Node":{{"Node":"n","Address":"10.0.0.9"}},"Service":{service}}}"#);
            instance(&text)
        };
        let it = of(r#"{"ID":"a","Address":"10.0.0.7","Port":80,"Tags":["v1","b"],"Meta":{"k":"v"}}"#);
        assert_eq!(it.name().unwrap().as_str(), "10.0.0.7:80");
        assert_eq!(it.value(), r#"{"meta":{"k":"v"},"tags":["v1","b"]}"#);
        assert_eq!(
            of(r#"{"ID":"a","Address":"","Port":81,"Tags":null,"Meta":null}"#).name().unwrap().as_str(),
            "10.0.0.9:81"
        );
        assert_eq!(of(r#"{"ID":"a","Address":"::1","Port":0}"#).name().unwrap().as_str(), "[::1]");
        assert!(of(r#"{"ID":"a","Address":"a b","Port":1}"#).name().is_err());
    }

    #[test]
    fn what_is_registered_comes_back() {
        for (name, value, address, port) in
            [("10.0.0.7:80", "1", "10.0.0.7", 80), ("[::1]:80", "", "::1", 80), ("worker-1", "ü", "", 0)]
        {
            let it = definition(name, value).unwrap();
            assert_eq!((it.address.as_str(), it.port), (address, port));
            let text = serde_json::to_string(&it).unwrap();
            let text = format!(r#"{{"Node":{{"Node":"n","Address":"h"}},"Service":{text}}}"#);
            let read = instance(&text);
            assert_eq!((read.name().unwrap().as_str(), &read.value()[..]), (name, value.as_bytes()));
        }
        let described = definition("a", r#"{"tags":["v1"],"meta":{"k":"v"}}"#).unwrap();
        assert_eq!((described.tags, described.meta["k"].as_str()), (vec!["v1".to_owned()], "v"));
        assert!(definition("a", &"x".repeat(513)).unwrap_err().to_string().contains("consul-kv"));
        assert!(definition("a/b", "").unwrap_err().to_string().contains("director"));
    }

    #[test]
    fn of_two_with_one_name_the_younger_is_listed() {
        let record = |created| Record { value: Bytes::new(), created, modified: created, owner: None };
        let name = Name::new("a").unwrap();
        for order in [[3, 5], [5, 3]] {
            let all = duplicate_free(order.map(|created| (name.clone(), record(created))).into());
            assert_eq!(all[&name].created, 5);
        }
    }
}
