//! What cannot be meant.

use std::time::Duration;

use cluster_control_tests::{Context, SOON, block_on, eventually};

const SECRET: &str = "hunter2-canary";

pub(crate) fn is_said_before_anything_is_done(context: &Context) {
    context.write("password", SECRET);
    context.write("empty", "\n");
    let join = ["--join", "touch joined"];
    let couchbase = ["--couchbase-user", "admin", "--couchbase-password-file"];
    let cases: Vec<(Vec<&str>, i32, &str)> = vec![
        (vec!["--join", "touch joined"], 2, "--address"),
        (vec!["--address", "10.0.0.1"], 2, "say what to do"),
        ([&["--address", "10.0.0.1", "--join", " "][..]].concat(), 2, "--join: the command is empty"),
        ([&["--address", "a b"][..], &join].concat(), 2, "address"),
        ([&["--address", ""][..], &join].concat(), 2, "address"),
        ([&["--address", "a", "--session", "../x"][..], &join].concat(), 2, "not valid"),
        ([&["--address", "a", "--session", "x/y"][..], &join].concat(), 2, "session"),
        ([&["--address", "a", "--ttl", "1ms"][..], &join].concat(), 2, "time to live"),
        ([&["--address", "a", "--leader-ttl", "1ms"][..], &join].concat(), 2, "time to live"),
        ([&["--address", "a", "--ttl", "soon"][..], &join].concat(), 2, "--ttl"),
        ([&["--address", "a", "--master-key", "x"][..], &join].concat(), 2, "not valid"),
        ([&["--address", "a", "--observe"][..]].concat(), 2, "--observe"),
        (vec!["--address", "a", "--couchbase", "http://a:8091"], 2, "--couchbase-user"),
        (
            [&["--address", "a", "--couchbase", "http://a:1"][..], &couchbase, &["password"], &join].concat(),
            2,
            "--join",
        ),
        ([&["--address", "a", "--couchbase", "http://a:1"][..], &couchbase, &["nowhere"]].concat(), 78, "nowhere"),
        ([&["--address", "a", "--couchbase", "http://a:1"][..], &couchbase, &["empty"]].concat(), 78, "it is empty"),
        ([&["--address", "a", "--couchbase", "ftp://a:1"][..], &couchbase, &["password"]].concat(), 78, "http://"),
        (
            [&["--address", "a", "--couchbase", "http://u:hunter2-canary@a:1"][..], &couchbase, &["password"]].concat(),
            78,
            "must not hold credentials",
        ),
    ];
    let dir = context.at("cluster");
    for (arguments, code, message) in cases {
        let all = ["schedule", "--dir", &dir].into_iter().chain(arguments.clone());
        let done = context.program(all).env("CLUSTER_CONTROL_REGISTRY", context.url()).finish(SOON);
        assert_eq!((done.code, &*done.stdout), (code, ""), "{arguments:?}: {done:?}");
        assert!(done.stderr.contains(message) && !done.stderr.contains(SECRET), "{arguments:?}: {}", done.stderr);
    }
    for dir in ["", "relative", "/a//b", "/_hidden"] {
        let done = context.program(["schedule", "--dir", dir, "--address", "a", "--join", "touch joined"]).finish(SOON);
        assert_eq!(done.code, 2, "{dir:?}: {done:?}");
    }
    assert_eq!(context.read("joined"), None);
    assert_eq!(context.witness.names(&context.at("cluster/announcements")), Vec::<String>::new());
}

pub(crate) fn a_read_only_registry_is_refused(context: &Context) {
    let arguments = ["schedule", "--registry", "env:", "--dir", "/a/b", "--address", "a", "--join", "true"];
    let done = context.program(arguments).env("CLUSTER_MEMBERS", "10.0.0.1:80").finish(SOON);
    assert_eq!(done.code, 78, "{done:?}");
}

/// By a server that refuses it, at every level of talkativeness.
pub(crate) fn a_password_is_never_shown(context: &Context) {
    context.write("password", format!("{SECRET}\n"));
    let server =
        block_on(test_servers::fake_http(401, "text/plain", format!("no, {SECRET} is wrong"))).expect("a port");
    let (url, dir) = (format!("http://{}", server.endpoint()), context.at("cluster"));
    let arguments = ["schedule", "-vv", "--dir", &dir, "--address", "127.0.0.1", "--couchbase", &url];
    let more = ["--couchbase-user", "admin", "--couchbase-password-file", "password", "--stop-timeout", "2s"];
    let launch = context.program(arguments.into_iter().chain(more)).env("CLUSTER_CONTROL_REGISTRY", context.url());
    let mut node = launch.start();
    eventually(SOON, "it is refused", || node.stderr().contains("refuses user \"admin\""));
    node.signal(cluster_control_tests::Signal::TERM);
    assert_eq!(node.wait(Duration::from_secs(10)), 0);
    assert!(!node.stderr().contains(SECRET) && node.stdout().is_empty(), "{}", node.stderr());
}
