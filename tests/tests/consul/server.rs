//! The server that a test asks for itself.

use cluster_control_tests::block_on;
use test_servers::{Consul, ConsulOptions};

pub(crate) fn start(options: ConsulOptions) -> Consul {
    let consul = block_on(Consul::start(options)).unwrap_or_else(|error| panic!("{error}"));
    eprintln!("{}", consul.describe());
    consul
}

/// Asks the server directly.
pub(crate) fn ask(consul: &Consul, method: &str, path: &str, body: &str) -> String {
    let (status, said) = block_on(consul.ask(method, path, body)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(status, 200, "{method} {path}: {said}");
    said
}

/// Whether the catalog has a healthy instance of a service that shows these words.
pub(crate) fn stands(consul: &Consul, service: &str, words: &str) -> bool {
    ask(consul, "GET", &format!("/v1/health/service/{service}?passing"), "").contains(words)
}

/// Whether the catalog has no such service. The agent tells it in its own time.
pub(crate) fn is_empty(consul: &Consul, service: &str) -> bool {
    ask(consul, "GET", &format!("/v1/catalog/service/{service}"), "").trim() == "[]"
}
