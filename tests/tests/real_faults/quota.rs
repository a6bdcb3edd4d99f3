//! An etcd whose database is full takes nothing new. What stands goes on standing, and who waits is told why.

use std::time::Duration;

use cluster_control_tests::{SOON, Sandbox, block_on, eventually, never};
use registry::{Registry, Scope};
use test_servers::{Api, Etcd, Options, Version};

use crate::program::{KEY, configure, run};

const WAITING: &str = "/web/10.0.0.2:80";

pub(crate) fn a_full_database_keeps_what_stands(sandbox: &Sandbox) {
    let etcd = block_on(Etcd::start(Options::from(Version::V3_5).argument("--quota-backend-bytes=2097152")));
    let etcd = etcd.unwrap_or_else(|error| panic!("{error}"));
    println!("{}", etcd.describe());
    let tool = |arguments: &[&str]| block_on(etcd.etcdctl(Api::V3, arguments));
    let url = format!("etcd://{}", etcd.endpoint());
    let registry = block_on(async { registry::connect(&url) }).expect("a registry");
    let came = |key: &str| {
        let key = registry::Key::parse(key).expect("a key");
        let listed = block_on(registry.list(&Scope::from(&key))).expect("listed");
        listed.entries.first().map(|entry| entry.index)
    };
    configure(sandbox, &url, 5);
    let mut standing = run(sandbox).start();
    eventually(SOON, "it is registered", || came(KEY).is_some());
    let before = came(KEY);

    let ballast = "v".repeat(100_000);
    eventually(SOON, "the database is full", || tool(&["put", "/ballast", &ballast]).is_err());
    let mut waiting =
        sandbox.program(["register", "--key", WAITING, "--ttl", "5s"]).env("CLUSTER_CONTROL_REGISTRY", &url).start();
    eventually(SOON, "the true reason is said", || waiting.stderr().contains("NOSPACE"));
    // Twice the time to live.
    never(Duration::from_secs(10), "what stands is lost", || came(KEY) != before);
    assert!(standing.is_running() && waiting.is_running());
    assert_eq!((came(WAITING), standing.stderr().matches("not registered").count()), (None, 0));

    let status = tool(&["endpoint", "status", "--write-out=json"]).expect("a status");
    let revision =
        status.split("\"revision\":").nth(1).and_then(|rest| rest.split([',', '}']).next()).expect("a revision");
    for command in [&["compact", revision][..], &["defrag"], &["alarm", "disarm"]] {
        tool(command).unwrap_or_else(|error| panic!("{command:?}: {error}"));
    }
    eventually(SOON, "who waited is registered", || came(WAITING).is_some());
    assert_eq!(came(KEY), before);
}
