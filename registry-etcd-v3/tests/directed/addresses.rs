//! Endpoints that are more than a host and a port: names with several addresses, sockets, zones.

use std::net::TcpListener as Blocking;
use std::sync::Arc;
use std::time::Duration;

use registry_core::{Registry, RegistryExt, Scope, State};
use registry_etcd_v3::EtcdV3;
use test_servers::{Etcd, Version, Zone, free_port};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpStream, UnixListener};
use tokio::time::{Instant, sleep};

use crate::proxy::Proxy;
use crate::support::{dir, key, on, ttl, value, with};

fn named(zone: &Zone) -> EtcdV3 {
    with("etcd-headless:2379", |config| config.address.resolver = zone.clone().into())
}

async fn works(registry: &EtcdV3) {
    let lease = registry.register(&key("a"), value(), &ttl(60)).await.unwrap();
    registry.renew(&lease).await.unwrap();
    drop(registry.watch(&Scope::from(dir()), lease.token()).await.unwrap());
    registry.deregister(&lease).await.unwrap();
}

/// The first address refuses connections, the second one accepts them and is silent.
pub(crate) async fn one_good_address_of_a_name_is_enough() {
    let good = Etcd::start(Version::V3_5).await.unwrap();
    let silent = Blocking::bind("127.0.0.1:0").unwrap();
    let (dead, hung) = (format!("127.0.0.1:{}", free_port()), silent.local_addr().unwrap().to_string());
    let zone = Zone::of([dead.as_str(), &hung, &good.endpoint()]);
    let registry = named(&zone);
    let begun = Instant::now();
    works(&registry).await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    // The good one is remembered: the hung one would have a second each time.
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        let begun = Instant::now();
        registry.list(&Scope::from(dir())).await.unwrap();
        fastest = fastest.min(begun.elapsed());
    }
    assert!(fastest < Duration::from_secs(1), "{fastest:?}");
}

pub(crate) async fn when_no_address_answers_each_is_named() {
    let port = free_port();
    let zone = Zone::of([format!("127.0.0.1:{port}").as_str(), &format!("127.0.0.2:{port}")]);
    let error = named(&zone).list(&Scope::from(dir())).await.unwrap_err();
    let text = error.to_string();
    assert!(error.is_unavailable() && error.is_transient(), "{text}");
    for expected in ["etcd-headless:2379 (127.0.0.1)", "etcd-headless:2379 (127.0.0.2)", "refused"] {
        assert!(text.contains(expected), "{expected} is not in: {text}");
    }
    zone.set([]);
    let error = named(&zone).list(&Scope::from(dir())).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("the name has no address"), "{error}");
}

/// A server is replaced: the name has another address afterwards, and what is registered stays.
pub(crate) async fn a_registration_follows_its_name_to_another_address() {
    let etcd = Etcd::start(Version::V3_5).await.unwrap();
    let old = Proxy::start("127.0.0.1", etcd.endpoint()).await;
    let zone = Zone::of([old.endpoint().as_str()]);
    let registry = Arc::new(named(&zone));
    let registration = registry.announce(key("a"), value(), ttl(9)).await.unwrap();
    let token = registration.token().unwrap();
    assert!(old.connections() > 0);
    drop(old);
    zone.set([etcd.endpoint().as_str()]);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(12) {
        let state = registration.status().state;
        assert!(matches!(state, State::Held { .. } | State::Renewing), "after {:?}: {state:?}", begun.elapsed());
        sleep(Duration::from_millis(50)).await;
    }
    registration.check().await.unwrap();
    assert_eq!(registration.token(), Some(token), "it is still the same registration");
    registration.deregister().await.unwrap();
}

pub(crate) async fn a_socket_of_this_machine_is_an_endpoint() {
    let etcd = Etcd::start(Version::V3_5).await.unwrap();
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("etcd.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let server = etcd.endpoint();
    let forwarder = tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let server = server.clone();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(server).await?;
                copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    works(&on(&format!("unix:{}", path.to_str().unwrap().replace('/', "%2F")))).await;
    forwarder.abort();
    let absent = on(&format!("unix:{}", files.path().join("absent").to_str().unwrap().replace('/', "%2F")));
    let error = absent.list(&Scope::from(dir())).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("/absent"), "{error}");
}

pub(crate) async fn an_address_with_a_zone_is_connected_to() {
    let etcd = Etcd::start(Version::V3_5).await.unwrap();
    let proxy = Proxy::start("::1", etcd.endpoint()).await;
    // The number of loopback: its name is taken only with addresses of a link.
    works(&on(&proxy.endpoint().replace("::1", "::1%251"))).await;
    assert_eq!(proxy.connections(), 1);
}
