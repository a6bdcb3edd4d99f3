use std::sync::Arc;
use std::time::Duration;

use etcd_client::Client;
use futures_util::future::join_all;
use registry_core::{Registry, RegistryExt, Scope, State};
use test_servers::{Etcd, Options, Version, fake_http, free_port};
use tokio::time::{Instant, sleep};

use crate::proxy::Proxy;
use crate::support::{admin, dir, fill, key, on, ttl, value};

/// Every call succeeds, and in time, whatever the other endpoints are.
pub(crate) async fn finding_1_one_good_endpoint_of_three_is_enough() {
    let good = Etcd::start(Version::V3_5).await.unwrap();
    let mut hung = Etcd::start(Version::V3_4).await.unwrap();
    hung.pause().await.unwrap();
    let direct = on(&good.endpoint());
    let endpoints = format!("127.0.0.1:{},{},{}", free_port(), hung.endpoint(), good.endpoint());
    let scope = Scope::from(dir());
    let call = async |number: usize| {
        let (key, registry) = (key(&format!("m{number}")), on(&endpoints));
        let lease = direct.register(&key, value(), &ttl(60)).await.unwrap();
        let begun = Instant::now();
        match number {
            0 => drop(registry.register(&key, value(), &ttl(60)).await.unwrap()),
            1 => registry.renew(&lease).await.unwrap(),
            2 => drop(registry.update(&lease, value()).await.unwrap()),
            3 => registry.deregister(&lease).await.unwrap(),
            4 => assert!(registry.remove(&key).await.unwrap()),
            5 => assert!(!registry.list(&scope).await.unwrap().entries.is_empty()),
            _ => drop(registry.watch(&scope, lease.token()).await.unwrap()),
        }
        assert!(begun.elapsed() < Duration::from_secs(15), "call {number} took {:?}", begun.elapsed());
        // The good one is remembered. Were the hung one asked first, it would have a second each time; a busy machine may
        // take one once.
        let mut fastest = Duration::MAX;
        for _ in 0..5 {
            let begun = Instant::now();
            registry.list(&scope).await.unwrap();
            fastest = fastest.min(begun.elapsed());
        }
        assert!(fastest < Duration::from_secs(1), "after call {number}: {fastest:?}");
    };
    join_all((0..7).map(call)).await;
}

pub(crate) async fn when_no_endpoint_answers_all_are_named() {
    let (one, two) = (format!("127.0.0.1:{}", free_port()), format!("no-such-host.invalid:{}", free_port()));
    let registry = on(&format!("{one},{two}"));
    let error = registry.list(&Scope::from(dir())).await.unwrap_err();
    let text = error.to_string();
    assert!(error.is_unavailable() && error.is_transient(), "{text}");
    for expected in ["list: ", "/clusters/web", &one, &two, "refused", "dns"] {
        assert!(text.contains(expected), "{expected} is not in: {text}");
    }
    let error = registry.register(&key("a"), value(), &ttl(60)).await.unwrap_err();
    assert!(error.to_string().contains("/clusters/web/a"), "{error}");
}

/// What the keeper does when its patience ends: the call is dropped, and the next one goes elsewhere.
pub(crate) async fn a_call_that_was_given_up_counts_against_its_endpoint() {
    let good = Etcd::start(Version::V3_5).await.unwrap();
    let mut hung = Etcd::start(Version::V3_5).await.unwrap();
    hung.pause().await.unwrap();
    let registry = on(&format!("{},{}", hung.endpoint(), good.endpoint()));
    let patience = Duration::from_millis(400);
    assert!(tokio::time::timeout(patience, registry.list(&Scope::from(dir()))).await.is_err());
    // Half of what a call may take would be the hung one's.
    let less = Duration::from_secs(3);
    tokio::time::timeout(less, registry.list(&Scope::from(dir()))).await.expect("the other endpoint").unwrap();
}

/// A caller that leaves each renewal early is not kept at an endpoint that hangs, although no single part of a renewal lasts
/// long.
pub(crate) async fn a_renewal_that_was_given_up_counts_against_its_endpoint() {
    let mut members = cluster().await;
    // A follower comes first: the others go on without it.
    let leader = leader(&members).await;
    members.swap(2, leader);
    let endpoints: Vec<_> = members.iter().map(Etcd::endpoint).collect();
    let registry = on(&endpoints.join(","));
    let lease = registry.register(&key("a"), value(), &ttl(60)).await.unwrap();
    // The second one goes in a round.
    registry.renew(&lease).await.unwrap();
    registry.renew(&lease).await.unwrap();
    members[0].pause().await.unwrap();
    let mut attempts = 0;
    while tokio::time::timeout(Duration::from_millis(540), registry.renew(&lease)).await.is_err() {
        attempts += 1;
        // One more than needed: a busy machine may take longer than that for a new connection.
        assert!(attempts <= 2, "each renewal asks the endpoint that hangs first");
    }
    members[0].unpause().await.unwrap();
}

pub(crate) async fn a_server_that_is_no_etcd_is_called_so() {
    let fake = fake_http(200, "text/html", "<h1>It works!</h1>").await.unwrap();
    let error = on(&fake.endpoint()).list(&Scope::from(dir())).await.unwrap_err();
    assert!(error.to_string().contains("does not speak the etcd v3 protocol"), "{error}");
    assert!(error.to_string().contains(&fake.endpoint()), "{error}");
}

/// On a slow way five pages take longer than one request may.
pub(crate) async fn each_page_of_a_list_has_as_much_time_as_any_request() {
    const ENTRIES: usize = 5600;
    let etcd = Etcd::start(Version::V3_5).await.unwrap();
    fill(&mut admin(&etcd).await, (0..ENTRIES).map(|number| format!("m{number}")), b"v").await;
    let proxy = Proxy::start("127.0.0.1", etcd.endpoint()).await;
    let (registry, scope) = (on(&proxy.endpoint()), Scope::from(dir()));
    assert_eq!(registry.list(&scope).await.unwrap().entries.len(), ENTRIES);
    proxy.ask_late(Duration::from_millis(1700));
    let begun = Instant::now();
    assert_eq!(registry.list(&scope).await.unwrap().entries.len(), ENTRIES);
    assert!(begun.elapsed() > Duration::from_secs(8), "it was no slow way: {:?}", begun.elapsed());
    assert_eq!(proxy.connections(), 1, "a good connection was given up");
}

/// The old leader holds a keepalive for eight seconds, and the lease of a client that waits for it is gone.
pub(crate) async fn finding_2_a_hung_leader_costs_no_lease() {
    let mut members = cluster().await;
    let leader = leader(&members).await;
    // The leader comes first, so it is the endpoint in use.
    members.swap(0, leader);
    let endpoints: Vec<_> = members.iter().map(Etcd::endpoint).collect();
    let registry = Arc::new(on(&endpoints.join(",")));
    let registration = registry.announce(key("a"), value(), ttl(8)).await.unwrap();
    let token = registration.token().unwrap();
    members[0].pause().await.unwrap();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(12) {
        let state = registration.status().state;
        assert!(matches!(state, State::Held { .. } | State::Renewing), "after {:?}: {state:?}", begun.elapsed());
        sleep(Duration::from_millis(20)).await;
    }
    registration.check().await.unwrap();
    assert_eq!(registration.token(), Some(token), "it is still the same registration");
    members[0].unpause().await.unwrap();
    registration.deregister().await.unwrap();
}

/// Which of the members leads.
async fn leader(members: &[Etcd]) -> usize {
    let (mut leader, mut ids) = (0, Vec::new());
    for member in members {
        let status = Client::connect([member.endpoint()], None).await.unwrap().status().await.unwrap();
        leader = status.leader();
        ids.push(status.header().unwrap().member_id());
    }
    ids.iter().position(|id| *id == leader).expect("a leader")
}

/// Three members of one cluster, in processes: they must reach each other.
async fn cluster() -> [Etcd; 3] {
    let peers = [free_port(), free_port(), free_port()];
    let all: Vec<_> = peers.iter().map(|port| format!("m{port}=http://127.0.0.1:{port}")).collect();
    let token = format!("three-{}-{}", std::process::id(), peers[0]);
    let member = |port: u16| {
        let options = Options::from(Version::V3_5)
            .process()
            .argument(format!("--name=m{port}"))
            .argument(format!("--initial-cluster={}", all.join(",")))
            .argument(format!("--initial-cluster-token={token}"))
            .argument(format!("--listen-peer-urls=http://127.0.0.1:{port}"))
            .argument(format!("--initial-advertise-peer-urls=http://127.0.0.1:{port}"));
        Etcd::start(options)
    };
    let (a, b, c) = tokio::join!(member(peers[0]), member(peers[1]), member(peers[2]));
    [a.unwrap(), b.unwrap(), c.unwrap()]
}

/// etcd hangs up on a client whose pings are too frequent, and on one that sends any while it asks for nothing.
pub(crate) async fn finding_10_an_idle_connection_is_kept() {
    let idle = async |version| {
        let etcd = Etcd::start(version).await.unwrap();
        let proxy = Proxy::start("127.0.0.1", etcd.endpoint()).await;
        let registry = on(&proxy.endpoint());
        registry.list(&Scope::from(dir())).await.unwrap();
        // The server takes four pings, five seconds apart, before it loses patience.
        sleep(Duration::from_secs(22)).await;
        registry.list(&Scope::from(dir())).await.unwrap();
        assert_eq!(proxy.connections(), 1, "{version:?} hung up");
    };
    tokio::join!(idle(Version::V3_4), idle(Version::V3_5));
}
