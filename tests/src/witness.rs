//! Reading and writing a registry without the program that is tested.

use std::sync::Arc;
use std::time::Duration;

use registry::{Dir, Key, RegisterOptions, Registry, Scope};
use serde_json::Value;
use test_servers::{Api, http};

use crate::{Server, block_on};

const LIMIT: Duration = Duration::from_secs(10);
/// Longer than any test.
const TTL: Duration = Duration::from_mins(10);

/// Another client of the same registry: plain HTTP for etcd v2, etcdctl for v3, the library for the embedded store.
#[derive(Clone, Debug)]
pub enum Witness {
    /// By requests to the v2 API.
    V2(Arc<Server>),
    /// By `etcdctl`.
    V3(Arc<Server>),
    /// By the library.
    Library(Arc<dyn Registry>),
}

impl Witness {
    /// Sets a key.
    pub fn put(&self, path: &str, value: &str) {
        match self {
            Self::V2(server) => {
                let (status, body) = v2(server, "PUT", path, &format!("value={value}"));
                assert!(status == 200 || status == 201, "PUT {path}: {status} {body}");
            }
            Self::V3(server) => assert_eq!(server.etcdctl(Api::V3, &["put", path, value]), "OK"),
            Self::Library(registry) => {
                let (key, options) = (key(path), RegisterOptions::new().ttl(TTL));
                let registered = registry.register(&key, value.to_owned().into(), &options);
                block_on(registered).unwrap_or_else(|error| panic!("{error}"));
            }
        }
    }

    /// Removes a key as an administrator does; true when it was there.
    pub fn remove(&self, path: &str) -> bool {
        match self {
            Self::V2(server) => match v2(server, "DELETE", path, "") {
                (200, _) => true,
                (404, _) => false,
                (status, body) => panic!("DELETE {path}: {status} {body}"),
            },
            Self::V3(server) => server.etcdctl(Api::V3, &["del", path]) == "1",
            Self::Library(registry) => block_on(registry.remove(&key(path))).unwrap_or_else(|error| panic!("{error}")),
        }
    }

    /// The value of a key; `None` when it is not there.
    pub fn get(&self, path: &str) -> Option<String> {
        match self {
            Self::V2(server) => match v2(server, "GET", path, "") {
                (200, body) => Some(json(&body)["node"]["value"].as_str()?.to_owned()),
                (404, _) => None,
                (status, body) => panic!("GET {path}: {status} {body}"),
            },
            Self::V3(server) => {
                // The key on the first line, then the value.
                let printed = server.etcdctl(Api::V3, &["get", path]);
                let value = printed.strip_prefix(path)?;
                Some(value.strip_prefix('\n').unwrap_or_default().to_owned())
            }
            Self::Library(registry) => {
                let listed =
                    block_on(registry.list(&Scope::from(&key(path)))).unwrap_or_else(|error| panic!("{error}"));
                listed.entries.first().map(|entry| String::from_utf8_lossy(&entry.value).into_owned())
            }
        }
    }

    /// The names of the keys directly below a directory, sorted.
    pub fn names(&self, dir: &str) -> Vec<String> {
        let paths: Vec<String> = match self {
            Self::V2(server) => match v2(server, "GET", dir, "") {
                (200, body) => {
                    let body = json(&body);
                    let nodes = body["node"]["nodes"].as_array().cloned().unwrap_or_default();
                    let keys = nodes.iter().filter(|node| node["dir"].is_null());
                    keys.filter_map(|node| node["key"].as_str().map(str::to_owned)).collect()
                }
                (404, _) => Vec::new(),
                (status, body) => panic!("GET {dir}: {status} {body}"),
            },
            Self::V3(server) => {
                let printed = server.etcdctl(Api::V3, &["get", "--prefix", "--keys-only", &format!("{dir}/")]);
                printed.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
            }
            Self::Library(registry) => {
                let scope = Scope::from(&Dir::new(dir).unwrap_or_else(|error| panic!("{error}")));
                let listed = block_on(registry.list(&scope)).unwrap_or_else(|error| panic!("{error}"));
                listed.entries.iter().map(|entry| format!("{dir}/{}", entry.name)).collect()
            }
        };
        let below = paths.iter().filter_map(|path| path.strip_prefix(dir)?.strip_prefix('/'));
        let mut names: Vec<_> = below.filter(|name| !name.contains('/')).map(str::to_owned).collect();
        names.sort();
        names
    }

    /// One request of the v2 API, below `/v2/keys`. Fails on any other registry.
    pub fn v2(&self, method: &str, path: &str, form: &str) -> (u16, Value) {
        let Self::V2(server) = self else { panic!("{self:?} has no v2 API") };
        let (status, body) = v2(server, method, path, form);
        (status, json(&body))
    }
}

fn v2(server: &Server, method: &str, path: &str, form: &str) -> (u16, String) {
    let path = format!("/v2/keys{path}");
    block_on(http::request(LIMIT, server.port(), method, &path, form)).unwrap_or_else(|error| panic!("{error}"))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn key(path: &str) -> Key {
    Key::parse(path).unwrap_or_else(|error| panic!("{error}"))
}
