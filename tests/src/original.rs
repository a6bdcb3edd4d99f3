//! The configuration file of the original scripts.

use serde_json::{Value, json};

/// Builds the JSON file that the original scripts read.
#[derive(Clone, Debug)]
pub struct Original {
    server: String,
    key: String,
    ttl: u64,
    heartbeat: u64,
    clusters: Vec<Value>,
}

impl Original {
    /// A container that registers `key`, with a time to live of 3 seconds and a heartbeat every second.
    pub fn new(server: impl Into<String>, key: impl Into<String>) -> Self {
        Self { server: server.into(), key: key.into(), ttl: 3, heartbeat: 1, clusters: Vec::new() }
    }

    /// Sets the times, in seconds.
    pub fn times(mut self, ttl: u64, heartbeat: u64) -> Self {
        (self.ttl, self.heartbeat) = (ttl, heartbeat);
        self
    }

    /// One more cluster, whose members are written into a file.
    pub fn cluster(mut self, name: &str, path: &str, file: &str) -> Self {
        self.clusters.push(json!({
            "name": name,
            "path": path,
            "handler": "AlanKent\\ClusterControl\\Handlers\\JsonHandler",
            "handlerConfig": file,
        }));
        self
    }

    /// The file's content.
    pub fn json(&self) -> String {
        let whole = json!({
            "etcd": { "server": self.server },
            "self": { "key": self.key, "ttl": self.ttl, "heartbeat": self.heartbeat },
            "clusters": self.clusters,
        });
        format!("{whole:#}\n")
    }
}
