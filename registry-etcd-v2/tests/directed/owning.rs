//! Who owns an entry on a real server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use registry_core::{Condition, ErrorKind, Lease, Registry, RegistryExt, State};

use crate::scripted::{Say, Scripted, Wire, etcd_says};
use crate::support::*;

/// v2-13, v2-14: a refresh without a guard gives life to whoever has the name.
#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_never_renews_a_stranger() {
    let (etcd, registry) = start().await;
    let former = put(&registry, "/a/x", "same").await;
    // The stranger writes the same value, as members do that have none of their own.
    raw(&etcd, "PUT", "/a/x", "value=same&ttl=30").await;
    assert_eq!(registry.renew(&former).await.expect_err("taken").kind(), ErrorKind::Conflict);
    assert_eq!(registry.update(&former, bytes("stolen")).await.expect_err("taken").kind(), ErrorKind::Conflict);
    registry.deregister(&former).await.expect("left alone");
    let answer = raw(&etcd, "GET", "/a/x", "").await;
    assert!(answer.contains(r#""value":"same""#) && number(&answer, "ttl") <= 30, "{answer}");
}

/// v2-15: whatever is written has a time to live; a fraction of a second is rounded up.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_always_has_a_time_to_live() {
    let (etcd, registry) = start().await;
    let ttl = |answer: &str| number(answer, "ttl");
    let options = registry_core::RegisterOptions::new().ttl(Duration::from_millis(20_001));
    for condition in [Condition::Absent, Condition::Present, Condition::Any] {
        let lease =
            registry.register(&key("/a/x"), bytes(""), &options.condition(condition)).await.expect("registered");
        assert_eq!(lease.ttl(), Duration::from_secs(21));
        assert_eq!(ttl(&raw(&etcd, "GET", "/a/x", "").await), 21);
        let lease = registry.update(&lease, bytes("2")).await.expect("updated");
        assert_eq!(ttl(&raw(&etcd, "GET", "/a/x", "").await), 21);
        registry.renew(&lease).await.expect("renewed");
        assert_eq!(ttl(&raw(&etcd, "GET", "/a/x", "").await), 21);
    }
}

/// A peer that writes without a guard and keeps the entry's identity (the heartbeat of the old scripts does) does not
/// take the ownership away.
#[tokio::test(flavor = "multi_thread")]
async fn an_unguarded_heartbeat_is_survived() {
    let (etcd, registry) = start().await;
    let lease = put(&registry, "/a/x", "mine").await;
    raw(&etcd, "PUT", "/a/x", "prevExist=true&value=17&ttl=60").await;
    registry.renew(&lease).await.expect("still ours");
    registry.update(&lease, bytes("mine again")).await.expect("still ours");
    assert!(raw(&etcd, "GET", "/a/x", "").await.contains("mine again"));
    raw(&etcd, "PUT", "/a/x", "refresh=true&prevExist=true&ttl=60").await;
    registry.deregister(&lease).await.expect("released");
    assert_eq!(names(&registry, "/a").await, [""; 0]);
}

/// A restored lease knows only where the entry began; and an index of 0 is never sent, for it guards nothing (v2-16).
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_lease_is_still_the_owners() {
    let (etcd, registry) = start().await;
    let lease = put(&registry, "/a/x", "1").await;
    let lease = registry.update(&lease, bytes("2")).await.expect("updated");
    foreign_writes(&etcd, 1010).await;
    let restored = Lease::restore(&lease.to_line()).expect("a lease");
    registry.renew(&restored).await.expect("renewed");
    registry.renew(&lease).await.expect("the other process's renewal does no harm");
    let forged = Lease::restore("/a/x 0@0 60000 forged").expect("a lease");
    assert_eq!(registry.renew(&forged).await.expect_err("not the owner").kind(), ErrorKind::Conflict);
    registry.deregister(&forged).await.expect("left alone");
    assert_eq!(names(&registry, "/a").await, ["x"]);
    registry.deregister(&restored).await.expect("released");
    assert_eq!(names(&registry, "/a").await, [""; 0]);
}

/// Eviction is not expiry, also when a whole directory goes; and what the server has forgotten is not guessed.
#[tokio::test(flavor = "multi_thread")]
async fn why_an_entry_went() {
    let (etcd, registry) = start().await;
    let renewed = |lease: Lease| {
        let registry = &registry;
        async move { registry.renew(&lease).await.expect_err("gone").kind() }
    };
    let lease = put(&registry, "/foo/sub/x", "1").await;
    raw(&etcd, "DELETE", "/foo/sub?recursive=true", "").await;
    assert_eq!(renewed(lease).await, ErrorKind::Evicted);

    // The history tells watchers of `/foobar/…` about `/foo`, too.
    raw(&etcd, "PUT", "/foo/other", "value=1").await;
    raw(&etcd, "PUT", "/foobar", "dir=true&ttl=1").await;
    let lease = put(&registry, "/foobar/x", "1").await;
    raw(&etcd, "DELETE", "/foo?recursive=true", "").await;
    until("the directory expires", async || names(&registry, "/foobar").await.is_empty()).await;
    assert_eq!(renewed(lease).await, ErrorKind::LeaseLost);

    // Taken over, and the successor is gone already.
    let lease = put(&registry, "/foo/x", "1").await;
    let successor = put(&registry, "/foo/x", "2").await;
    registry.deregister(&successor).await.expect("released");
    assert_eq!(renewed(lease).await, ErrorKind::Conflict);

    let lease = put(&registry, "/foo/x", "1").await;
    raw(&etcd, "DELETE", "/foo/x", "").await;
    let begun = Instant::now();
    foreign_writes(&etcd, 1010).await;
    let (writing, begun) = (begun.elapsed(), Instant::now());
    assert_eq!(renewed(lease).await, ErrorKind::LeaseLost);
    // It does not ask for each of them: that would take about as long as writing them did.
    let search = begun.elapsed();
    assert!(search < writing / 2, "the search took {search:?}, and writing all that it looked for took {writing:?}");
}

/// A registration outlives its server's crash with the same token, and ends when its directory is removed.
#[tokio::test(flavor = "multi_thread")]
async fn a_registration_survives_a_restart_and_hears_of_its_eviction() {
    let (mut etcd, registry) = start().await;
    let registry = Arc::new(registry);
    let held = registry.announce(key("/a/x"), bytes("1"), seconds(6)).await.expect("announced");
    let State::Held { token } = held.status().state else { panic!("{:?}", held.status()) };
    etcd.kill().await.expect("killed");
    etcd.start_again().await.expect("started");
    until("it is renewed", async || held.check().await.is_ok()).await;
    assert_eq!(held.status().state, State::Held { token });
    raw(&etcd, "DELETE", "/a?recursive=true", "").await;
    until("it is evicted", async || held.status().state == State::Evicted).await;
    assert_eq!(names(&registry, "/a").await, [""; 0]);
}

/// v2-22: waiting does not turn a directory into an entry.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_in_the_place_of_an_entry_is_a_mistake() {
    let (_etcd, registry) = start().await;
    put(&registry, "/a/dir/x", "1").await;
    let there = key("/a/dir");
    for condition in [Condition::Any, Condition::Present] {
        let error =
            registry.register(&there, bytes("1"), &seconds(9).condition(condition)).await.expect_err("a directory");
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.to_string().contains("/a/dir"), "{error}");
    }
    assert_eq!(registry.remove(&there).await.expect_err("a directory").kind(), ErrorKind::Config);
    assert_eq!(registry.list(&entry("/a/dir")).await.expect_err("a directory").kind(), ErrorKind::Config);
    let below = registry.register(&key("/a/dir/x/y"), bytes("1"), &seconds(9)).await.expect_err("below an entry");
    assert_eq!(below.kind(), ErrorKind::Config, "{below}");
    assert_eq!(names(&registry, "/a/dir/x").await, [""; 0], "nothing is below an entry");
    assert_eq!(names(&registry, "/a").await, ["dir/x"]);
}

/// Two ways to one server: the first loses the answers.
async fn lossy() -> (test_servers::Etcd, Wire, registry_etcd_v2::EtcdV2) {
    let (etcd, _) = start().await;
    let wire = Wire::to(etcd.endpoint()).await;
    let registry = registry([wire.endpoint(), etcd.endpoint()]);
    (etcd, wire, registry)
}

/// v2-19: a write whose answer was lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_creation_in_doubt_is_never_taken_for_ours() {
    let (_etcd, wire, registry) = lossy().await;
    wire.lose_answers();
    let absent = seconds(60).condition(Condition::Absent);
    let error = registry.register(&key("/a/lock"), bytes("1"), &absent).await.expect_err("nobody can know");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.is_transient());
    assert_eq!(names(&registry, "/a").await, ["lock"], "what was created stays until its time is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_in_doubt_that_a_competitor_has_won_is_a_conflict() {
    let (_etcd, wire, registry) = lossy().await;
    put(&registry, "/a/lock", "theirs").await;
    wire.lose_answers();
    let absent = seconds(60).condition(Condition::Absent);
    let error = registry.register(&key("/a/lock"), bytes("ours"), &absent).await.expect_err("theirs");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn guarded_writes_in_doubt_are_carried_out_once() {
    let (etcd, wire, registry) = lossy().await;
    let lease = put(&registry, "/a/x", "1").await;
    wire.lose_answers();
    // The first endpoint renews it, which the second one must find out.
    registry.renew(&lease).await.expect("ours all the time");
    registry.renew(&lease).await.expect("the guard is the new one");
    let direct = crate::support::registry([etcd.endpoint()]);
    let restored = Lease::restore(&lease.to_line()).expect("a lease");
    direct.deregister(&restored).await.expect("released");

    let (_etcd, wire, registry) = lossy().await;
    let lease = put(&registry, "/a/x", "1").await;
    wire.lose_answers();
    let updated = registry.update(&lease, bytes("2")).await.expect("ours all the time");
    assert_eq!(updated.token(), lease.token());
    registry.renew(&updated).await.expect("the new lease is good");

    let (_etcd, wire, registry) = lossy().await;
    let lease = put(&registry, "/a/x", "1").await;
    wire.lose_answers();
    registry.deregister(&lease).await.expect("released");
    assert_eq!(names(&registry, "/a").await, [""; 0]);

    let (_etcd, wire, registry) = lossy().await;
    wire.lose_answers();
    let lease = registry.register(&key("/a/x"), bytes("1"), &seconds(60)).await.expect("replaced by ourselves");
    registry.renew(&lease).await.expect("the lease is the last write's");
}

/// Taking over is two requests: what vanishes in between is not brought back.
#[tokio::test(flavor = "multi_thread")]
async fn taking_over_what_has_just_gone_is_undone() {
    let node = |index: u64| format!(r#"{{"key":"/a/x","value":"1","createdIndex":{index},"modifiedIndex":{index}}}"#);
    let server = Scripted::start(move |request| {
        let set_already = request.starts_with("DELETE");
        let body = match request.split(' ').next() {
            Some("PUT") => format!(r#"{{"action":"set","node":{}}}"#, node(9)),
            _ if set_already => format!(r#"{{"action":"compareAndDelete","node":{}}}"#, node(9)),
            _ => format!(r#"{{"action":"get","node":{}}}"#, node(9)),
        };
        Say::Answer(etcd_says(200, 9, &body))
    })
    .await;
    let registry = registry([server.endpoint()]);
    let present = seconds(9).condition(Condition::Present);
    let error = registry.register(&key("/a/x"), bytes("1"), &present).await.expect_err("nobody was there");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    let last = server.asked().pop().expect("requests");
    assert!(last.starts_with("DELETE /v2/keys/a/x?prevIndex=9"), "{last}");
}

/// What a server could not keep as it is, it is not given (v2-20).
#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_text_are_refused_before_any_request() {
    let server = Scripted::always("").await;
    let registry = registry([server.endpoint()]);
    let raw = registry_core::Bytes::from_static(b"\xff\xfe");
    let error = registry.register(&key("/a/x"), raw.clone(), &seconds(9)).await.expect_err("not UTF-8");
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    let lease = Lease::restore("/a/x 1@7 9000 id").expect("a lease");
    assert_eq!(registry.update(&lease, raw).await.expect_err("not UTF-8").kind(), ErrorKind::InvalidInput);
    assert_eq!(server.asked(), [""; 0]);
}
