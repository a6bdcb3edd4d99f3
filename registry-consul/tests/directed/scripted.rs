//! Answers that a test has written: counted, late, backwards, or not those of a Consul.

use std::time::Duration;

use registry_consul::{Address, CATALOG, KV, Kv, connect, connect_kv};
use registry_core::{ErrorKind, Registry};
use test_servers::{Zone, fake_http};
use tokio::time::sleep;

use crate::support::{Scripted, answer, bytes, dir, key, next, options, pair, told};

fn registry(endpoint: String) -> Kv {
    connect_kv(Address::new(&KV, [endpoint]).timeout(Duration::from_millis(500))).expect("a configuration")
}

fn is_blocking(line: &str) -> bool {
    line.contains("index=")
}

/// c-6: a directory that changes all the time is not asked for all the time, and once for all its watchers.
#[tokio::test]
async fn one_query_for_all_watchers_and_not_too_often() {
    let server = Scripted::start(|line, number| {
        let created = if is_blocking(line) { 100 + number as u64 } else { 1 };
        answer("200 OK", Some(created), &format!("[{}]", pair("a/b", created)))
    })
    .await;
    let registry = registry(server.endpoint());
    let start = registry.list(&dir("/a")).await.expect("listed").index;
    let mut watches = Vec::new();
    for _ in 0..5 {
        watches.push(registry.watch(&dir("/a"), start).await.expect("watched"));
    }
    for watch in &mut watches {
        assert_eq!(told(watch).await.len(), 2, "it was replaced");
    }
    sleep(Duration::from_millis(1600)).await;
    let asked = server.seen().iter().filter(|head| is_blocking(head)).count();
    assert!((2..=9).contains(&asked), "{asked} queries in two seconds");
    // Nobody watches any more: nobody asks any more.
    drop(watches);
    sleep(Duration::from_millis(300)).await;
    let before = server.seen().len();
    sleep(Duration::from_millis(900)).await;
    assert_eq!(server.seen().len(), before);
}

/// c-1: the index goes backwards although nothing else changes.
#[tokio::test]
async fn an_index_that_goes_backwards_is_a_gap() {
    let server = Scripted::start(|line, _| {
        let index = if is_blocking(line) { 12 } else { 14 };
        answer("200 OK", Some(index), &format!("[{}]", pair("a/b", 9)))
    })
    .await;
    let registry = registry(server.endpoint());
    let start = registry.list(&dir("/a")).await.expect("listed").index;
    let mut watch = registry.watch(&dir("/a"), start).await.expect("watched");
    let error = loop {
        match next(&mut watch).await {
            Ok(batch) => assert_eq!(batch.changes, []),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Compacted, "{error}");
    let again = registry.list(&dir("/a")).await.expect("listed").index;
    assert!(!again.same_epoch(start), "{again:#} is of the epoch of {start:#}");
}

/// c-1: a view that stands nowhere is no truth.
#[tokio::test]
async fn an_index_of_zero_is_no_answer() {
    for index in [Some(0), None] {
        let server = Scripted::start(move |_, _| answer("200 OK", index, "[]")).await;
        let error = registry(server.endpoint()).list(&dir("/a")).await.expect_err("no index");
        assert_eq!(error.kind(), ErrorKind::Unexpected, "{error}");
        let services = connect(Address::new(&CATALOG, [server.endpoint()])).expect("a configuration");
        assert_eq!(services.list(&dir("/a")).await.expect_err("no index").kind(), ErrorKind::Unexpected);
    }
}

/// Failure is never absence.
#[tokio::test]
async fn what_is_not_consul_is_not_an_empty_directory() {
    for (status, body) in
        [("404 Not Found", "404 page not found"), ("200 OK", "<html>"), ("200 OK", "{}"), ("204 No Content", "")]
    {
        let (index, body) = (if status.starts_with("404") { None } else { Some(7) }, body.to_owned());
        let server = Scripted::start(move |_, _| answer(status, index, &body)).await;
        let registry = registry(server.endpoint());
        let error = registry.list(&dir("/a")).await.expect_err(status);
        assert_eq!(error.kind(), ErrorKind::Unexpected, "{status}: {error}");
        let error = registry.register(&key("/a/b"), bytes("x"), &options()).await.expect_err(status);
        assert_eq!(error.kind(), ErrorKind::Unexpected, "{status}: {error}");
    }
}

/// c-11: without a leader nothing is known, and nothing is gone.
#[tokio::test]
async fn without_a_leader_nothing_is_known() {
    let server = Scripted::start(|_, _| answer("500 Internal Server Error", None, "No cluster leader")).await;
    let registry = registry(server.endpoint());
    let error = registry.list(&dir("/a")).await.expect_err("no leader");
    assert!(error.kind() == ErrorKind::Unavailable && error.to_string().contains("No cluster leader"), "{error}");
    let lease = registry_core::Lease::new(key("/a/b"), "id", registry_core::Index::new(0, 7), Duration::from_secs(10));
    assert_eq!(registry.renew(&lease).await.expect_err("no leader").kind(), ErrorKind::Unavailable);
}

/// Agents behind one name, of which the first has no leader and the second does not answer: the third one is asked, and kept.
#[tokio::test]
async fn each_address_of_a_name_is_an_agent() {
    let leaderless = Scripted::start(|_, _| answer("500 Internal Server Error", None, "No cluster leader")).await;
    let hung = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let good = Scripted::start(|_, _| answer("200 OK", Some(9), &format!("[{}]", pair("a/b", 9)))).await;
    let hung_at = hung.local_addr().expect("an address").to_string();
    let zone = Zone::of([leaderless.endpoint().as_str(), &hung_at, &good.endpoint()]);
    let address = Address::new(&KV, ["consul:8500"]).resolver(zone).timeout(Duration::from_millis(500));
    let registry = connect_kv(address).expect("a configuration");
    for _ in 0..3 {
        assert_eq!(registry.list(&dir("/a")).await.expect("listed").entries.len(), 1);
    }
    // Each list is two requests: the second one proves that all of it may be read.
    assert_eq!((leaderless.seen().len(), good.seen().len()), (1, 6));
}

/// c-12: a redirect is refused, and nothing follows it: neither the write nor the token.
#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = fake_http(200, "application/json", r#"{"ID":"stolen"}"#).await.expect("a server");
    let place = elsewhere.endpoint();
    let server = Scripted::start(move |_, _| {
        format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: http://{place}/v1/x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    })
    .await;
    let error =
        registry(server.endpoint()).register(&key("/a/b"), bytes("1"), &options()).await.expect_err("a redirect");
    assert!(error.kind() == ErrorKind::Unexpected && error.to_string().contains("redirect"), "{error}");
    assert_eq!(elsewhere.requests(), 0);
}

/// An answer that was lost is looked up: whose the key is tells what became of it.
#[tokio::test]
async fn a_registration_whose_answer_was_lost_is_found() {
    let server = Scripted::start(|line, _| {
        if line.contains("/session/create") {
            answer("200 OK", None, r#"{"ID":"5e55"}"#)
        } else if line.contains("/v1/kv/") {
            let body = r#"[{"Key":"a/b","Value":"MQ==","CreateIndex":42,"ModifyIndex":42,"Session":"5e55"}]"#;
            answer("200 OK", Some(42), body)
        } else {
            String::new()
        }
    })
    .await;
    let lease = registry(server.endpoint()).register(&key("/a/b"), bytes("1"), &options()).await.expect("it stands");
    assert_eq!((lease.id(), lease.token().position()), ("5e55", 42));
    let destroyed = server.seen().iter().any(|head| head.contains("/session/destroy"));
    assert!(!destroyed, "what was found is not taken back");
}

/// The identity of a session becomes part of a path.
#[tokio::test]
async fn an_identity_is_not_believed_blindly() {
    let server = Scripted::start(|_, _| answer("200 OK", None, r#"{"ID":"../../kv/a"}"#)).await;
    let error = registry(server.endpoint()).register(&key("/a/b"), bytes("1"), &options()).await.expect_err("odd");
    assert_eq!(error.kind(), ErrorKind::Unexpected);
}

/// The datacenter stands in every request, and the token in its header and nowhere else.
#[tokio::test]
async fn the_token_is_in_the_header_only() {
    let server = Scripted::start(|_, _| answer("500 Internal Server Error", None, "later")).await;
    let mut config = registry_consul::Config::from(Address::new(&KV, [server.endpoint()]));
    config = config.token("canary").datacenter("east side");
    let registry = connect_kv(config).expect("a configuration");
    let errors = [
        registry.list(&dir("/a")).await.expect_err("no").to_string(),
        registry.register(&key("/a/b"), bytes("1"), &options()).await.expect_err("no").to_string(),
        format!("{registry:?} {:?}", registry.remove(&key("/a/b")).await),
    ];
    assert!(errors.iter().all(|error| !error.contains("canary")), "{errors:?}");
    let seen = server.seen();
    assert!(seen.len() >= 3);
    for head in seen {
        let (line, headers) = head.split_once("\r\n").expect("headers");
        assert!(line.contains("dc=east%20side") && !line.contains("canary"), "{line}");
        assert!(headers.to_ascii_lowercase().contains("x-consul-token: canary"), "{headers}");
    }
}

/// It is not read to its limit first, and said as what it is.
#[tokio::test]
async fn a_directory_that_is_too_large_is_called_so() {
    let server = Scripted::start(|_, _| {
        let head = "HTTP/1.1 200 OK\r\nX-Consul-Index: 5\r\nConnection: close\r\nContent-Length";
        format!("{head}: {}\r\n\r\n[", 70 << 20)
    })
    .await;
    let error = registry(server.endpoint()).list(&dir("/a")).await.expect_err("too large");
    assert!(error.kind() == ErrorKind::TooLarge && error.to_string().contains("64 MiB"), "{error}");
    assert_eq!(server.seen().len(), 1, "it was asked again");
}
