//! Keys and sessions: who owns what.

use std::sync::Arc;

use registry_consul::{Address, KV, connect_kv};
use registry_core::{Condition, ErrorKind, Registry};
use test_servers::ConsulOptions;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::support::{SOON, bytes, dir, key, keys, options, raw, shared, start, text};

/// c-7, c-8: no delay, no check of the node, and everything ends with the session.
#[tokio::test]
async fn a_session_depends_on_its_renewals_alone() {
    let consul = start(ConsulOptions::default()).await;
    let lease = keys(&consul).register(&key("/a/b"), bytes("1"), &options()).await.expect("registered");
    let about = raw(&consul, "GET", &format!("/v1/session/info/{}", lease.id()), "").await;
    let about: String = about.split_whitespace().collect();
    for part in [r#""LockDelay":0"#, r#""Behavior":"delete""#, r#""TTL":"10000ms""#, r#""NodeChecks":[]"#] {
        assert!(about.contains(part), "{part}: {about}");
    }
    assert!(!about.contains("serfHealth"), "{about}");
    keys(&consul).deregister(&lease).await.expect("released");
    assert_eq!(raw(&consul, "GET", "/v1/session/list", "").await.trim(), "[]", "no session is left behind");
}

/// A registration that is refused leaves no session behind, which would linger for its whole time.
#[tokio::test]
async fn a_refused_registration_leaves_nothing() {
    let consul = start(ConsulOptions::default()).await;
    let registry = keys(&consul);
    for (condition, path) in [(Condition::Present, "/a/b"), (Condition::Absent, "/a/c")] {
        raw(&consul, "PUT", "/v1/kv/a/c", "plain").await;
        let refused = registry.register(&key(path), bytes("1"), &options().condition(condition)).await;
        assert_eq!(refused.expect_err("refused").kind(), ErrorKind::Conflict);
    }
    assert_eq!(raw(&consul, "GET", "/v1/session/list", "").await.trim(), "[]");
    assert_eq!(raw(&consul, "GET", "/v1/kv/a/c?raw", "").await, "plain");
}

/// c-9: a lock keeps no stranger from writing or deleting.
#[tokio::test]
async fn strangers_do_not_ask_for_locks() {
    let consul = shared().await;
    let registry = keys(consul);
    let lease = registry.register(&key("/strangers/b"), bytes("1"), &options()).await.expect("registered");
    raw(consul, "PUT", "/v1/kv/strangers/b", "theirs").await;
    registry.renew(&lease).await.expect("a write takes nothing over");
    let lease = registry.update(&lease, bytes("mine")).await.expect("mine");
    assert_eq!(raw(consul, "GET", "/v1/kv/strangers/b?raw", "").await, "mine");
    raw(consul, "DELETE", "/v1/kv/strangers/b", "").await;
    assert_eq!(registry.renew(&lease).await.expect_err("gone").kind(), ErrorKind::Evicted);
    raw(consul, "PUT", "/v1/kv/strangers/b", "plain").await;
    assert_eq!(registry.renew(&lease).await.expect_err("taken").kind(), ErrorKind::Conflict);
    registry.deregister(&lease).await.expect("left alone");
    assert_eq!(raw(consul, "GET", "/v1/kv/strangers/b?raw", "").await, "plain");
}

/// c-8: the delay of a stranger's session is a reason to wait, not an owner.
#[tokio::test]
async fn a_lock_delay_is_waited_for() {
    let consul = shared().await;
    let session = raw(consul, "PUT", "/v1/session/create", r#"{"LockDelay":"15s","Behavior":"delete"}"#).await;
    let session = text(&session, "ID").to_owned();
    let acquired = raw(consul, "PUT", &format!("/v1/kv/delayed/b?acquire={session}"), "x").await;
    assert_eq!(acquired.trim(), "true");
    raw(consul, "PUT", &format!("/v1/session/destroy/{session}"), "").await;
    let absent = options().condition(Condition::Absent);
    let error = keys(consul).register(&key("/delayed/b"), bytes("1"), &absent).await.expect_err("delayed");
    assert!(error.is_transient() && error.to_string().contains("lock delay"), "{error:?}");
}

/// c-1: a server that lost everything. The lease is lost, not evicted, and the name can be had.
#[tokio::test]
async fn a_wiped_server_has_lost_the_lease() {
    let mut consul = start(ConsulOptions::default()).await;
    let registry = keys(&consul);
    let lease = registry.register(&key("/a/b"), bytes("1"), &options()).await.expect("registered");
    consul.wipe().await.expect("another life");
    assert_eq!(registry.renew(&lease).await.expect_err("gone").kind(), ErrorKind::LeaseLost);
    let absent = options().condition(Condition::Absent);
    registry.register(&key("/a/b"), bytes("2"), &absent).await.expect("the name is free");
    // The old owner can do nothing to it.
    assert_eq!(registry.renew(&lease).await.expect_err("taken").kind(), ErrorKind::Conflict);
    registry.deregister(&lease).await.expect("left alone");
    assert_eq!(registry.list(&dir("/a")).await.expect("listed").entries[0].value, bytes("2"));
}

/// A lease outlives a restart of the server with its data.
#[tokio::test]
async fn a_restarted_server_knows_the_lease() {
    let mut consul = start(ConsulOptions::default()).await;
    let registry = keys(&consul);
    let lease = registry.register(&key("/a/b"), bytes("1"), &options()).await.expect("registered");
    consul.kill().await.expect("killed");
    let error = registry.renew(&lease).await.expect_err("nobody answers");
    assert!(error.is_unavailable(), "{error:?}");
    consul.start_again().await.expect("started");
    registry.renew(&lease).await.expect("still mine");
    assert_eq!(registry.list(&dir("/a")).await.expect("listed").entries[0].index, lease.token());
}

/// c-4: a frozen server is an error in time, for every call.
#[tokio::test]
async fn a_frozen_server_is_not_waited_for() {
    let mut consul = start(ConsulOptions::default()).await;
    let registry = keys(&consul);
    let lease = registry.register(&key("/a/b"), bytes("1"), &options()).await.expect("registered");
    consul.pause().await.expect("frozen");
    let begun = Instant::now();
    let place = dir("/a");
    let (renewed, listed) = tokio::join!(registry.renew(&lease), registry.list(&place));
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert_eq!(renewed.expect_err("no answer").kind(), ErrorKind::Timeout);
    assert_eq!(listed.expect_err("no answer").kind(), ErrorKind::Timeout);
    consul.unpause().await.expect("awake");
    registry.renew(&lease).await.expect("still mine");
}

/// A second agent is asked when the first one is not there.
#[tokio::test]
async fn the_next_agent_is_asked() {
    let consul = shared().await;
    let nobody = format!("127.0.0.1:{}", test_servers::free_port());
    let registry =
        connect_kv(Address::new(&KV, [nobody, consul.endpoint()]).prefix("/team/x")).expect("a configuration");
    registry.register(&key("/a/b"), bytes("1"), &options()).await.expect("registered");
    assert_eq!(raw(consul, "GET", "/v1/kv/team/x/a/b?raw", "").await, "1", "the prefix stands before it");
    assert_eq!(registry.list(&dir("/a")).await.expect("listed").entries.len(), 1);
}

/// c-5: an agent resets connections beyond its limit, and the error says what that may be.
#[tokio::test]
async fn too_many_connections_are_named() {
    // A process, for an engine makes its own connections to a container.
    let limit = "limits { http_max_conns_per_client = 3 }";
    let consul = start(ConsulOptions::default().setting(limit).process()).await;
    let (mut idle, begun) = (Vec::new(), Instant::now());
    let error = loop {
        // Connections that end at this very moment still count, so some of these are reset themselves.
        idle.push(TcpStream::connect(("127.0.0.1", consul.port())).await.expect("connected"));
        // A registry that has a connection keeps it.
        match keys(&consul).list(&dir("/a")).await {
            Err(error) => break error,
            Ok(_) => assert!(begun.elapsed() < SOON, "{} connections are no limit", idle.len()),
        }
    };
    assert!(error.is_unavailable() && error.to_string().contains("http_max_conns_per_client"), "{error}");
}

/// Folders of Consul's own pages, and names that no entry may have, are no members.
#[tokio::test]
async fn folders_and_odd_names_are_left_out() {
    let consul = shared().await;
    for path in ["folders/", "folders/b/", "folders/_odd", "folders/with%20space", "folders/plain"] {
        raw(consul, "PUT", &format!("/v1/kv/{path}"), "v").await;
    }
    let listed = keys(consul).list(&dir("/folders")).await.expect("listed");
    assert_eq!(listed.entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["plain"]);
}

/// An agent answers 200 connections of one address, and refuses all others: callers wait for each other here instead.
#[tokio::test]
async fn more_callers_than_the_agent_takes_connections() {
    let consul = start(ConsulOptions::default()).await;
    let registry = Arc::new(keys(&consul));
    let callers: Vec<_> = (0..500)
        .map(|number| {
            let registry = Arc::clone(&registry);
            tokio::spawn(async move { registry.list(&dir(&format!("/crowd/{number}"))).await.map(drop) })
        })
        .collect();
    for caller in callers {
        caller.await.expect("no panic").expect("answered");
    }
}
