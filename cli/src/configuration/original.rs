//! The JSON file of the original scripts.

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use registry::{Dir, Key};
use registry_handlers::{FileKind, FileSpec, OnEmpty};
use serde::Deserialize;

use super::{Configuration, SelfSpec, WatchSpec, explained};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Original {
    etcd: Option<Etcd>,
    #[serde(rename = "self")]
    own: Option<Own>,
    #[serde(default)]
    clusters: Vec<Cluster>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Etcd {
    server: Option<String>,
    host: Option<String>,
    port: Option<Port>,
}

/// The original's readers wrote it either way.
#[derive(Deserialize)]
#[serde(untagged)]
enum Port {
    Number(u16),
    Text(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Own {
    key: String,
    ttl: u64,
    heartbeat: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Cluster {
    name: String,
    path: String,
    handler: Option<String>,
    handler_config: Option<PathBuf>,
}

/// The original's class names. Only the first was ever written; all of them mean a JSON file of the names.
const HANDLERS: [&str; 3] = ["JsonHandler", "RedisHandler", "MySQLHandler"];
const NAMESPACE: &str = "AlanKent\\ClusterControl\\Handlers\\";

/// Reads the original's file.
pub(super) fn read(text: &str) -> Result<Configuration, String> {
    let original: Original = serde_json::from_str(text).map_err(|error| explained(&error.to_string()))?;
    let mut configuration = Configuration { registry: original.etcd.map(Etcd::url).transpose()?, ..Default::default() };
    configuration.own = original.own.map(Own::read).transpose()?;
    for (number, cluster) in original.clusters.into_iter().enumerate() {
        let (watch, file) = cluster.read().map_err(|problem| format!("clusters[{number}]: {problem}"))?;
        configuration.watches.push(watch);
        configuration.files.extend(file);
    }
    Ok(configuration)
}

impl Etcd {
    fn url(self) -> Result<String, String> {
        match (self.server, self.host) {
            (Some(_), Some(_)) => Err("etcd.server and etcd.host are both given; keep one".into()),
            (None, None) => Err("etcd.server or etcd.host is missing: name the server".into()),
            (Some(server), None) => {
                let (scheme, rest) = match server.split_once("://") {
                    Some(("http", rest)) => ("etcd-v2", rest),
                    Some(("https", rest)) => ("etcd-v2s", rest),
                    _ => return Err("etcd.server must begin with http:// or https://".into()),
                };
                Ok(format!("{scheme}://{}", rest.trim_end_matches('/')))
            }
            (None, Some(host)) => {
                let port = match self.port {
                    None => "4001".into(),
                    Some(Port::Number(port)) => port.to_string(),
                    Some(Port::Text(port)) => port,
                };
                Ok(format!("etcd-v2://{host}:{port}"))
            }
        }
    }
}

impl Own {
    fn read(self) -> Result<SelfSpec, String> {
        // The original put the key into a URL as it stands, so some wrote `%3A` for `:`.
        let key = percent_decode_str(&self.key).decode_utf8().map_err(|_| "self.key is not UTF-8".to_owned())?;
        let key = Key::parse(&key).map_err(|error| format!("self.key: {error}"))?;
        let (ttl, heartbeat) = (Duration::from_secs(self.ttl), Duration::from_secs(self.heartbeat));
        super::check_times(ttl, heartbeat)?;
        Ok(SelfSpec { key, value: "0".into(), ttl: Some(ttl), renew_every: Some(heartbeat) })
    }
}

impl Cluster {
    fn read(self) -> Result<(WatchSpec, Option<FileSpec>), String> {
        let dir = Dir::new(self.path.trim_end_matches('/')).map_err(|error| format!("path: {error}"))?;
        if let Some(handler) = &self.handler {
            let class = handler.strip_prefix('\\').unwrap_or(handler);
            let class = class.strip_prefix(NAMESPACE).unwrap_or(class);
            if !HANDLERS.contains(&class) {
                let known = HANDLERS.map(|name| format!("{NAMESPACE}{name}")).join(", ");
                return Err(format!("handler: {handler:?} is not known; known are: {known}"));
            }
        }
        let file = match (&self.handler, self.handler_config) {
            (None, Some(_)) => return Err("handlerConfig is given without handler".into()),
            (Some(_), None) => return Err("handler is given without handlerConfig: name the file to write".into()),
            (None, None) => None,
            (Some(_), Some(dest)) => {
                let mut file = FileSpec::new(FileKind::Json, [self.name.clone()], dest);
                // An empty cluster is written as it is: the original's applications expect the truth, and only the truth
                // gets here. An outage does not.
                file.on_empty = OnEmpty::Render;
                Some(file)
            }
        };
        Ok((WatchSpec { name: self.name, dir, grace: None }, file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_spellings() {
        let article = r#"{"etcd":{"server":"http://h:4001/"},"self":{"key":"/demo/web/1.2.3.4%3A80","ttl":10,"heartbeat":5},
            "clusters":[{"name":"db","path":"/demo/db","handler":"AlanKent\\ClusterControl\\Handlers\\JsonHandler",
            "handlerConfig":"html/db.json"}]}"#;
        let read_article = read(article).unwrap();
        assert_eq!(read_article.registry.as_deref(), Some("etcd-v2://h:4001"));
        assert_eq!(read_article.own.unwrap().key.as_str(), "/demo/web/1.2.3.4:80");
        assert_eq!(read_article.files[0].dest, PathBuf::from("html/db.json"));
        let readme = r#"{"etcd":{"host":"127.0.0.1","port":3001},"clusters":[{"name":"redis","path":"/clusters/redis",
            "handler":"AlanKent\\ClusterControl\\Handlers\\RedisHandler","handlerConfig":"filename.conf"}]}"#;
        assert_eq!(read(readme).unwrap().registry.as_deref(), Some("etcd-v2://127.0.0.1:3001"));
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        for (text, says) in [
            ("{\n \"etcd\": {\"server\": \"http://h\"},,}", "line 2"),
            ("{\"self\":{\"key\":\"/a/b\",\"ttl\":5,\"hearbeat\":1}}", "did you mean `heartbeat`"),
            ("{\"self\":{\"key\":\"/a/b\",\"ttl\":5,\"heartbeat\":5}}", "longer"),
            ("{\"self\":{\"key\":\"b\",\"ttl\":5,\"heartbeat\":1}}", "self.key"),
            ("{\"etcd\":{}}", "etcd.server"),
            ("{\"etcd\":{\"server\":\"h:4001\"}}", "http://"),
            (
                "{\"clusters\":[{\"name\":\"a\",\"path\":\"/a\",\"handler\":\"Other\",\"handlerConfig\":\"f\"}]}",
                "clusters[0]: handler",
            ),
            ("{\"clusters\":[{\"name\":\"a\",\"path\":\"/\"}]}", "clusters[0]: path"),
        ] {
            let problem = read(text).map(drop).expect_err(text);
            assert!(problem.contains(says), "{text}: {problem}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".*") {
            let _ = read(&text);
        }
    }
}
