//! Answers that are not etcd's, or not whole: none of them is ever an empty membership, or a removed member.

use registry_core::{ErrorKind, Index, Lease, Registry};
use registry_etcd_v2::{Address, SCHEME};
use test_servers::{Etcd, Options, Version};

use crate::scripted::{Say, Scripted, etcd_says, etcd_waits};
use crate::support::*;

fn http(head: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()).into_bytes()
}

/// What might stand between us and an etcd, and what an etcd might say when it is broken.
fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let json = "Content-Type: application/json\r\nX-Etcd-Cluster-Id: ab12\r\nX-Etcd-Index: 9";
    let empty = r#"{"action":"get","node":{"key":"/a","dir":true}}"#;
    let absent = r#"{"errorCode":100,"message":"Key not found","cause":"/a","index":9}"#;
    let whole = etcd_says(200, 9, empty);
    vec![
        ("nothing", Vec::new()),
        ("not HTTP", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
        ("a redirect", http(&format!("301 Moved\r\nLocation: /v2/keys/b\r\n{json}"), "")),
        ("a redirect with a body", http(&format!("307 Temporary\r\nLocation: http://127.0.0.1:1/\r\n{json}"), empty)),
        ("a page with 200", http("200 OK\r\nContent-Type: text/html", "<html>Log in</html>")),
        (
            "JSON called a page",
            http("200 OK\r\nContent-Type: text/html\r\nX-Etcd-Cluster-Id: 1\r\nX-Etcd-Index: 9", empty),
        ),
        ("no cluster", http("200 OK\r\nContent-Type: application/json\r\nX-Etcd-Index: 9", empty)),
        ("no index", http("200 OK\r\nContent-Type: application/json\r\nX-Etcd-Cluster-Id: 1", empty)),
        ("index 0", etcd_says(200, 0, empty)),
        (
            "an index that is none",
            http("200 OK\r\nContent-Type: application/json\r\nX-Etcd-Cluster-Id: 1\r\nX-Etcd-Index: x", empty),
        ),
        ("a page with 404", http("404 Not Found\r\nContent-Type: text/html", "<html>no such page</html>")),
        ("absence of a proxy", http("404 Not Found\r\nContent-Type: application/json", r#"{"error":"not found"}"#)),
        ("absence without an index", etcd_says(404, 0, absent)),
        ("absence of another key", etcd_says(404, 9, r#"{"errorCode":100,"message":"","cause":"/b","index":9}"#)),
        ("absence with 500", etcd_says(500, 9, absent)),
        ("absence cut short", etcd_says(404, 9, &absent[..20])),
        (
            "raft error",
            etcd_says(
                500,
                0,
                r#"{"errorCode":300,"message":"Raft Internal Error","cause":"etcdserver: request timed out","index":0}"#,
            ),
        ),
        (
            "no leader",
            etcd_says(
                503,
                0,
                r#"{"errorCode":300,"message":"Raft Internal Error","cause":"etcdserver: no leader","index":0}"#,
            ),
        ),
        ("too many requests", http("429 Too Many\r\nContent-Type: text/plain", "slow down")),
        ("an unknown refusal", etcd_says(400, 9, r#"{"errorCode":999,"message":"?","cause":"?","index":9}"#)),
        ("a refusal of no kind", etcd_says(400, 9, r#"{"errorCode":1,"message":"?","cause":"?","index":9}"#)),
        ("204", http(&format!("204 No Content\r\n{json}"), "")),
        ("206", http(&format!("206 Partial\r\n{json}"), empty)),
        ("an empty body", etcd_says(200, 9, "")),
        ("null", etcd_says(200, 9, "null")),
        ("a list", etcd_says(200, 9, "[]")),
        ("an empty object", etcd_says(200, 9, "{}")),
        ("JSON cut short", etcd_says(200, 9, &empty[..empty.len() - 3])),
        ("a body cut short", whole[..whole.len() - 3].to_vec()),
        ("headers cut short", whole[..60].to_vec()),
        ("broken chunks", [etcd_waits(9), b"zz\r\n{}".to_vec()].concat()),
        ("not UTF-8", etcd_says(200, 9, "x").into_iter().map(|b| if b == b'x' { 0xff } else { b }).collect()),
        ("another directory", etcd_says(200, 9, r#"{"action":"get","node":{"key":"/b","dir":true}}"#)),
        (
            "a stranger inside",
            etcd_says(
                200,
                9,
                r#"{"action":"get","node":{"key":"/a","dir":true,"nodes":[{"key":"/b/x","value":"","createdIndex":4,"modifiedIndex":4}]}}"#,
            ),
        ),
        ("no nodes", etcd_says(200, 9, r#"{"action":"get","node":{"key":"/a","dir":true,"nodes":null}}"#)),
        (
            "a value that is no text",
            etcd_says(
                200,
                9,
                r#"{"action":"get","node":{"key":"/a","dir":true,"nodes":[{"key":"/a/x","value":7,"createdIndex":4}]}}"#,
            ),
        ),
        (
            "permission denied",
            http(&format!("401 Unauthorized\r\n{json}"), r#"{"errorCode":110,"message":"","cause":"","index":0}"#),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_hostile_answer_is_an_empty_membership() {
    for (what, answer) in hostile() {
        let server = Scripted::always(answer).await;
        let registry = registry([server.endpoint()]);
        let listed = registry.list(&dir("/a")).await;
        let error = listed.expect_err(what);
        assert!(!error.is_lost() && error.kind() != ErrorKind::Config, "{what}: {error:?}");
        assert!(error.to_string().contains(&server.endpoint()) && error.to_string().contains("/a"), "{what}: {error}");
        assert!(error.to_string().len() < 700, "{what}: {error}");
        assert!(registry.list(&entry("/a/x")).await.is_err(), "{what}");
        match registry.watch(&dir("/a"), Index::new(0xab12, 7)).await {
            Err(error) => assert!(!error.is_lost(), "{what}: {error:?}"),
            Ok(mut watch) => match next(&mut watch).await {
                Err(error) => assert!(!error.is_lost(), "{what}: {error:?}"),
                Ok(batch) => panic!("{what}: a watch told {batch:?}"),
            },
        }
    }
}

/// A lease is lost only when an etcd says so.
#[tokio::test(flavor = "multi_thread")]
async fn no_hostile_answer_costs_a_lease() {
    for (what, answer) in hostile() {
        let server = Scripted::always(answer).await;
        let registry = registry([server.endpoint()]);
        // 43794 is ab12, the cluster of these answers.
        let lease = Lease::restore("/a/x 43794@7 9000 id").expect("a lease");
        let error = registry.renew(&lease).await.expect_err(what);
        assert!(!error.is_lost(), "{what}: {error:?}");
        assert!(registry.deregister(&lease).await.is_err(), "{what}: a release that did not happen");
        assert!(registry.remove(&key("/a/x")).await.is_err(), "{what}: a removal that did not happen");
        assert!(registry.register(&key("/a/x"), bytes("1"), &seconds(9)).await.is_err(), "{what}");
    }
}

/// Events that no etcd sends end a watch, and never remove anybody.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_events_end_a_watch() {
    for (what, event) in [
        ("an old event", r#"{"action":"delete","node":{"key":"/a/x","createdIndex":3,"modifiedIndex":7}}"#),
        ("no index", r#"{"action":"delete","node":{"key":"/a/x"}}"#),
        (
            "an unknown action",
            r#"{"action":"vanish\u001b[2J","node":{"key":"/a/x","createdIndex":3,"modifiedIndex":9}}"#,
        ),
        ("no event", r#"{"errorCode":100,"message":"","cause":"","index":9}"#),
        ("not JSON", "<html>"),
    ] {
        let server = Scripted::start(move |request| {
            if request.contains("quorum=true") {
                return Say::Answer(etcd_says(404, 9, r#"{"errorCode":100,"message":"","cause":"/a","index":9}"#));
            }
            Say::Answer(etcd_says(200, 9, event))
        })
        .await;
        let registry = registry([server.endpoint()]);
        let mut watch = registry.watch(&dir("/a"), Index::new(0xab12, 7)).await.expect("watched");
        let error = next(&mut watch).await.expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Unexpected, "{what}: {error:?}");
        assert!(!error.to_string().contains('\u{1b}'), "{error:?}");
        assert_eq!(server.asked().iter().filter(|it| it.contains("wait=true")).count(), 1, "{what}: no busy loop");
    }
}

/// A server that ends every poll at once is left soon, without a busy loop.
#[tokio::test(flavor = "multi_thread")]
async fn empty_polls_are_no_events_and_no_busy_loop() {
    let server = Scripted::start(|request| {
        if request.contains("quorum=true") {
            return Say::Answer(etcd_says(404, 9, r#"{"errorCode":100,"message":"","cause":"/a","index":9}"#));
        }
        Say::Answer([etcd_waits(9), b"0\r\n\r\n".to_vec()].concat())
    })
    .await;
    let registry = registry([server.endpoint()]);
    let mut watch = registry.watch(&dir("/a"), Index::new(0xab12, 7)).await.expect("watched");
    assert_eq!(next(&mut watch).await.expect_err("no watch").kind(), ErrorKind::Unavailable);
    let polls: Vec<_> = server.asked().into_iter().filter(|it| it.contains("wait=true")).collect();
    assert!(polls.len() < 10 && polls.iter().all(|it| it.contains("waitIndex=8&")), "{polls:?}");
}

/// v2-19: a member without the majority answers watches, and is silent for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_without_the_majority_serves_no_watch() {
    let server = Scripted::start(|request| {
        if request.contains("quorum=true") {
            let body = r#"{"errorCode":300,"message":"Raft Internal Error","cause":"etcdserver: request timed out","index":0}"#;
            return Say::Answer(etcd_says(500, 0, body));
        }
        Say::Hang(etcd_waits(9))
    })
    .await;
    let registry = registry([server.endpoint()]);
    let error = registry.watch(&dir("/a"), Index::new(0xab12, 7)).await.err().expect("no majority");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("request timed out"), "{error}");
}

/// A redirect would carry a write elsewhere (v2-21).
#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_not_followed() {
    let (etcd, direct) = start().await;
    put(&direct, "/a/x", "1").await;
    let location = format!("307 Temporary\r\nLocation: http://{}/v2/keys/a", etcd.endpoint());
    let server = Scripted::always(http(&location, "")).await;
    let registry = registry([server.endpoint()]);
    let error = registry.list(&dir("/a")).await.expect_err("refused");
    assert!(error.to_string().contains("redirect"), "{error}");
    assert!(registry.register(&key("/a/y"), bytes("1"), &seconds(9)).await.is_err());
    assert!(registry.remove(&key("/a/x")).await.is_err());
    assert_eq!(names(&direct, "/a").await, ["x"]);
}

/// v2-23: 3.4 and 3.5 do not serve v2 unless they are told to.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_v2_says_how_to_switch_it_on() {
    for version in Version::ALL {
        let etcd = Etcd::start(Options::from(version).v2(false)).await.expect("a server");
        let registry = registry([etcd.endpoint()]);
        for error in [
            registry.list(&dir("/a")).await.expect_err("switched off"),
            registry.watch(&dir("/a"), Index::new(0, 7)).await.err().expect("switched off"),
            registry.register(&key("/a/x"), bytes("1"), &seconds(9)).await.expect_err("switched off"),
        ] {
            assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
            assert!(error.to_string().contains("--enable-v2=true"), "{error}");
        }
    }
}

/// A list of more than 64 MiB is not read, and the limit is told as one.
#[tokio::test(flavor = "multi_thread")]
async fn an_endless_list_is_cut_off() {
    let value = "x".repeat(1 << 20);
    let node = format!(r#"{{"key":"/a/x","value":"{value}","createdIndex":4,"modifiedIndex":4}}"#);
    let nodes = vec![node; 66].join(",");
    let body = format!(r#"{{"action":"get","node":{{"key":"/a","dir":true,"nodes":[{nodes}]}}}}"#);
    let server = Scripted::always(etcd_says(200, 9, &body)).await;
    // With the usual patience: so much takes its time.
    let registry =
        registry_etcd_v2::connect(Address::new(&SCHEME, [server.endpoint()])).expect("a valid configuration");
    let error = registry.list(&dir("/a")).await.expect_err("too long");
    assert!(error.kind() == ErrorKind::TooLarge && error.to_string().contains("64 MiB"), "{error}");
    assert_eq!(server.asked().len(), 1, "every endpoint would say the same");
}
