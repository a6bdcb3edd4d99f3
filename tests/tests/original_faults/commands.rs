//! What the commands say, and where.

use std::time::Duration;

use cluster_control_tests::{Context, Original, SOON, block_on, eventually, never};
use test_servers::{FakeHttp, fake_http};

use crate::members::{RELOAD, join, prepare, reloads, shows};

/// The original wrote what it did to stdout, so a script that captured the index got that too.
pub(crate) fn verbose_goes_to_stderr(context: &Context) {
    context.configure();
    join(context, &["10.0.0.9:3306"]);
    let usual = [
        vec!["--verbose", "cc:clusterprepare", "db"],
        vec!["-v", "clusterprepare", "db"],
        vec!["cc:clusterprepare", "--verbose", "db"],
        vec!["cc:clusterprepare", "db", "-vv"],
    ];
    for arguments in usual {
        let done = context.program(arguments).finish(SOON);
        assert_eq!(done.code, 0, "{done:?}");
        let index = done.stdout.strip_suffix('\n').expect("one line");
        assert!(index.parse::<u64>().is_ok(), "{done:?}");
    }
    assert!(shows(context, &["10.0.0.9:3306"]), "{:?}", context.read("db.json"));
}

/// A proxy's page, a broken answer, an error: none of them is an empty cluster.
pub(crate) fn a_strange_answer_is_not_empty(context: &Context) {
    context.configure();
    join(context, &["10.0.0.9:3306"]);
    prepare(context);
    let empty = format!(r#"{{"action":"get","node":{{"key":"{}","dir":true}}}}"#, context.at("db"));
    for (status, content_type, body) in [
        (200, "text/html", "<html>Welcome</html>"),
        (200, "application/json", ""),
        (200, "application/json", "{}"),
        (200, "application/json", &empty[..20]),
        (200, "application/json", &empty), // without an index, so it is not etcd
        (404, "text/plain", "404 page not found"),
        (500, "text/plain", "oops"),
        (503, "text/html", "<html>busy</html>"),
    ] {
        let fake = block_on(fake_http(status, content_type, body)).expect("a fake server");
        keeps_the_file(context, &fake, &format!("{status} {content_type:?} {body:?}"));
    }
}

/// The original took a follower's redirect for an empty cluster. These lead to a server on which the cluster is really
/// empty, so that whoever follows them writes that.
pub(crate) fn a_redirect_is_not_empty(context: &Context) {
    context.configure();
    join(context, &["10.0.0.9:3306"]);
    prepare(context);
    // The fake server writes its content type as it is given, with whatever follows.
    let head = "application/json\r\nX-Etcd-Cluster-Id: cdf818194e3a8c32\r\nX-Etcd-Index: 7\r\nX-Raft-Index: 9\r\nX-Raft-Term: 2";
    let body = format!(r#"{{"action":"get","node":{{"key":"{}","dir":true,"createdIndex":4}}}}"#, context.at("db"));
    let elsewhere = block_on(fake_http(200, head, body)).expect("a fake server");
    let endpoint = elsewhere.endpoint();
    let original = Original::new(format!("http://{endpoint}"), context.key());
    context.write("elsewhere.conf", original.cluster("db", &context.at("db"), "elsewhere.json").json());
    let done = context.program(["--conf", "elsewhere.conf", "cc:clusterprepare", "db"]).finish(SOON);
    assert_eq!((done.code, context.read("elsewhere.json").as_deref()), (0, Some("[]")), "{done:?}");

    let asked = elsewhere.requests();
    let location = format!("text/plain\r\nLocation: http://{endpoint}/v2/keys{}", context.at("db"));
    for status in [301, 302, 303, 307, 308] {
        let fake = block_on(fake_http(status, &location, "")).expect("a fake server");
        keeps_the_file(context, &fake, &status.to_string());
    }
    assert_eq!(elsewhere.requests(), asked, "a redirect was followed");
}

/// With this answer to everything, `clusterprepare` fails, and `clusterwatch` waits for a better one.
fn keeps_the_file(context: &Context, fake: &FakeHttp, answer: &str) {
    let original = Original::new(format!("http://{}", fake.endpoint()), context.key());
    context.write("strange.conf", original.cluster("db", &context.at("db"), "db.json").json());
    let prepare = ["--conf", "strange.conf", "--timeout", "500ms", "cc:clusterprepare", "db"];
    let done = context.program(prepare).finish(SOON);
    assert!(done.code != 0 && done.stdout.is_empty() && !done.stderr.is_empty(), "{answer}: {done:?}");
    let asked = fake.requests();
    let watch = ["--conf", "strange.conf", "cc:clusterwatch", "db", "1"];
    let _watch = context.program(watch.into_iter().chain(RELOAD)).start();
    eventually(SOON, &format!("{answer}: a request"), || fake.requests() > asked);
    never(Duration::from_millis(500), answer, || reloads(context) > 0 || !shows(context, &["10.0.0.9:3306"]));
}

/// The original listed the root and then crashed.
pub(crate) fn unknown_cluster(context: &Context) {
    context.configure();
    for arguments in [vec!["cc:clusterprepare", "dv"], vec!["cc:clusterwatch", "dv", "1", "true"]] {
        let done = context.program(arguments).finish(SOON);
        assert_eq!((done.code, done.stdout.as_str()), (4, ""), "{done:?}");
        assert!(done.stderr.contains("\"dv\"") && done.stderr.contains("known are: db"), "{done:?}");
    }
    assert_eq!(context.read("db.json"), None);
}
