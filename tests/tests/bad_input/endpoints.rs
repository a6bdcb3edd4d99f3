//! Servers that are not there, or are not what they are taken for, or do not know us.

use std::net::TcpListener;

use cluster_control_tests::{Sandbox, block_on};
use test_servers::{Api, Etcd, FakeHttp, Options, Version, fake_http, free_port};

use crate::case::{Case, configure};

/// Every command that asks the registry.
const ASKING: [&[&str]; 8] = [
    &["run", "--start-timeout", PATIENCE, "--", "touch", "started"],
    &["--timeout", PATIENCE, "members", "/db"],
    &["--timeout", PATIENCE, "evict", "/db", "a:1"],
    &["--timeout", PATIENCE, "register", "--once", "--key", "/db/a:1"],
    &["--timeout", PATIENCE, "clusterprepare", "db"],
    &["--timeout", PATIENCE, "render"],
    &["--timeout", PATIENCE, "heartbeat", "--once"],
    &["--timeout", PATIENCE, "removekey"],
];
/// Stands for the time that a command is given.
const PATIENCE: &str = "";
/// For a server that never answers: each command takes as long.
const SHORT: &str = "1s";
/// For one that does, when it comes to it: it compares passwords, and is not alone on the machine.
const LONG: &str = "10s";

fn asking(command: &[&'static str], patience: &'static str) -> Case {
    Case::new(command.iter().map(|word| if *word == PATIENCE { patience } else { word }))
}

/// A configuration in which every command has something to do.
fn use_registry(sandbox: &Sandbox, url: &str) {
    configure(
        sandbox,
        format!(
            "[registry]\nurl = \"{url}\"\n[self]\nkey = \"/web/a:1\"\n[[watch]]\nname = \"db\"\npath = \"/db\"\n\
             [[file]]\nkind = \"json\"\nwatch = [\"db\"]\ndest = \"db.json\"\n"
        ),
    );
}

fn all_end(sandbox: &Sandbox, url: &str, patience: &'static str, code: i32, says: &[&str]) {
    use_registry(sandbox, url);
    for command in ASKING {
        asking(command, patience).ends(sandbox, code, says);
    }
}

/// As `all_end`, for those where each command takes as long as its patience: one that acts and one that asks.
fn both_end(sandbox: &Sandbox, url: &str, code: i32, says: &[&str]) {
    use_registry(sandbox, url);
    for command in &ASKING[..2] {
        asking(command, SHORT).ends(sandbox, code, says);
    }
}

pub(crate) fn schemes(sandbox: &Sandbox) {
    let known =
        "known are: etcd:, etcds:, etcd-v2:, etcd-v2s:, consul:, consuls:, consul-kv:, consul-kvs:, env:, sqlite:";
    for (url, says) in [
        ("foo://h", ["`foo:`", known]),
        ("http://127.0.0.1:2379", ["`http:`", known]),
        ("ectd://h", ["did you mean `etcd:`?", known]),
        ("ETCD://h", ["`ETCD:`", known]),
        ("127.0.0.1:2379", ["scheme", known]),
        ("", ["scheme", known]),
        ("etcd://", ["endpoint", "host"]),
        ("etcd://h:port", ["h:port", "port"]),
        ("etcd-v2://h:99999", ["h:99999", "port"]),
        ("etcd://h?tls=yes", ["tls", "known are"]),
        ("etcd://h?timeout=soon", ["timeout", "500ms"]),
        ("etcd-v2s://h?ca=/no/such/file", ["/no/such/file", "No such file"]),
        ("etcd://h?user=me&password_file=/no/such/file", ["/no/such/file", "No such file"]),
        ("sqlite://relative.db", ["sqlite:///", "relative.db"]),
        ("sqlite:///no/such/directory/registry.db", ["/no/such/directory", "directory"]),
        ("env:db", ["`env:` stands alone", ""]),
    ] {
        let argument = format!("--registry={url}");
        Case::new([&argument, "run", "--", "touch", "started"]).ends(sandbox, 78, &says);
        Case::new([&argument, "members", "db"]).ends(sandbox, 78, &says);
        Case::new(["members", "db"]).env("CLUSTER_CONTROL_REGISTRY", url).ends(sandbox, 78, &says);
    }
}

pub(crate) fn nobody_there(sandbox: &Sandbox) {
    let endpoint = format!("127.0.0.1:{}", free_port());
    let says = [endpoint.as_str(), "waiting for", "cannot be reached"];
    for scheme in ["etcd", "etcd-v2"] {
        all_end(sandbox, &format!("{scheme}://{endpoint}"), SHORT, 69, &says);
        both_end(sandbox, &format!("{scheme}s://{endpoint}"), 69, &says);
    }
    for scheme in ["etcd", "etcd-v2"] {
        let url = format!("{scheme}://no-such-host.invalid:2379");
        both_end(sandbox, &url, 69, &["no-such-host.invalid", "cannot be reached"]);
    }
}

/// It takes the connection and never says a word.
pub(crate) fn silence(sandbox: &Sandbox) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = listener.local_addr().expect("an address").to_string();
    for scheme in ["etcd", "etcd-v2", "etcds", "etcd-v2s"] {
        both_end(sandbox, &format!("{scheme}://{endpoint}"), 69, &[&endpoint, "cannot be reached"]);
    }
}

/// A web server, a proxy's error page, the metrics port.
pub(crate) fn wrong_protocol(sandbox: &Sandbox) {
    let page = "<html><body>Welcome to nginx!</body></html>";
    for (status, kind, body) in [(200, "text/html", page), (200, "application/json", "{}"), (502, "text/html", page)] {
        let server: FakeHttp = block_on(fake_http(status, kind, body)).expect("a server");
        for scheme in ["etcd", "etcd-v2"] {
            both_end(sandbox, &format!("{scheme}://{}", server.endpoint()), 69, &[&server.endpoint()]);
        }
        assert!(server.requests() > 0, "it was asked");
    }
}

/// TLS where none is spoken, and the other way round.
pub(crate) fn tls_or_not(sandbox: &Sandbox) {
    let directory = tempfile::tempdir().expect("a directory");
    let certificates = test_servers::certificates::make(directory.path()).expect("certificates");
    let plain = block_on(Etcd::start(Version::V3_5)).unwrap_or_else(|error| panic!("{error}"));
    let ca = certificates.ca().display().to_string();
    for scheme in ["etcds", "etcd-v2s"] {
        both_end(sandbox, &format!("{scheme}://{}?ca={ca}", plain.endpoint()), 69, &[&plain.endpoint()]);
    }
    drop(plain);
    let tls = block_on(Etcd::start(Options::from(Version::V3_5).tls(&certificates)))
        .unwrap_or_else(|error| panic!("{error}"));
    let other = certificates.other_ca().display().to_string();
    for scheme in ["etcd", "etcd-v2"] {
        both_end(sandbox, &format!("{scheme}://{}", tls.endpoint()), 69, &[&tls.endpoint()]);
        both_end(sandbox, &format!("{scheme}s://{}?ca={other}", tls.endpoint()), 69, &[&tls.endpoint(), "certificate"]);
    }
}

/// etcd 3.4 and 3.5 do not serve the v2 API unless they are told to.
pub(crate) fn v2_switched_off(sandbox: &Sandbox) {
    for version in Version::ALL {
        let etcd = block_on(Etcd::start(Options::from(version).v2(false))).unwrap_or_else(|error| panic!("{error}"));
        let url = format!("etcd-v2://{}", etcd.endpoint());
        all_end(sandbox, &url, LONG, 78, &[&etcd.endpoint(), "v2 API", "--enable-v2"]);
    }
}

/// No name, a wrong name, a wrong password, and a right one for somebody who may not.
pub(crate) fn bad_credentials(sandbox: &Sandbox) {
    let etcd = block_on(Etcd::start(Version::V3_5)).unwrap_or_else(|error| panic!("{error}"));
    let ask =
        |api, arguments: &[&str]| block_on(etcd.etcdctl(api, arguments)).unwrap_or_else(|error| panic!("{error}"));
    for arguments in [
        &["user", "add", "root:right"][..],
        &["user", "grant-role", "root", "root"],
        &["user", "add", "guest:right"],
        &["auth", "enable"],
    ] {
        ask(Api::V3, arguments);
    }
    ask(Api::V2, &["user", "add", "root:right"]);
    ask(Api::V2, &["user", "add", "guest:right"]);
    ask(Api::V2, &["auth", "enable"]);
    ask(Api::V2, &["--username", "root:right", "role", "remove", "guest"]);

    for scheme in ["etcd", "etcd-v2"] {
        for user in ["", "nobody:right@", "root:wr0ng@", "guest:right@"] {
            all_end(sandbox, &format!("{scheme}://{user}{}", etcd.endpoint()), LONG, 77, &[&etcd.endpoint()]);
        }
        use_registry(sandbox, &format!("{scheme}://root:right@{}", etcd.endpoint()));
        let done = sandbox.program(["members", "/db"]).finish(cluster_control_tests::SOON);
        assert_eq!((done.code, done.stdout.as_str()), (0, ""), "{scheme}: {done:?}");
    }
}
