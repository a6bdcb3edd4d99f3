//! Servers with TLS: two of etcd, since they are real ones that can be killed, and have gRPC's health service.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use registry::{Catalogue, Codec, Dir, Instance, Json, Name, RegisterOptions, Registration, RegistryExt};
use registry_tower::Channel;
use test_servers::certificates::{self, Certificates};
use test_servers::{Etcd, Options, Version};
use tokio::time::{Instant, sleep};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

const SOON: Duration = Duration::from_secs(30);

/// A channel over these servers, which trusts this authority, and what keeps them registered.
async fn channel(place: &Path, servers: &[&Etcd], authority: &Path) -> (Channel, Vec<Registration>) {
    let registry = registry::connect(&format!("sqlite://{}/registry.db", place.display())).unwrap();
    let dir = Dir::new("/clusters/secure").unwrap();
    let mut entries = Vec::new();
    for (number, server) in servers.iter().enumerate() {
        let key = dir.key(&format!("server-{number}")).unwrap();
        let value = Json.encode(&key.name(), &Instance::new("127.0.0.1", server.port()).unwrap()).unwrap();
        let options = RegisterOptions::new().ttl(Duration::from_hours(1));
        entries.push(registry.announce(key, value, options).await.unwrap());
    }
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(std::fs::read(authority).unwrap()));
    let choose = |_: &Name, instance: &Instance| instance.takes_work().then(|| instance.authority());
    let make = move |_: &Name, authority: &String| {
        let endpoint = Endpoint::from_shared(format!("https://{authority}")).unwrap();
        endpoint.connect_timeout(Duration::from_secs(3)).tls_config(tls.clone()).unwrap()
    };
    (registry_tower::channel_with(Catalogue::follow(&registry, dir, Json), choose, make), entries)
}

async fn secure(place: &Path) -> (Etcd, Certificates) {
    let made = certificates::make(place).unwrap();
    (Etcd::start(Options::from(Version::V3_5).tls(&made)).await.unwrap(), made)
}

async fn ask(channel: &Channel) -> Result<(), Status> {
    let mut request = tonic::Request::new(HealthCheckRequest::default());
    request.set_timeout(SOON);
    HealthClient::new(channel.clone()).check(request).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_with_tls_fails_at_most_the_requests_in_flight() {
    let place = tempfile::tempdir().unwrap();
    let (mut one, made) = secure(place.path()).await;
    let two = Etcd::start(Options::from(Version::V3_5).tls(&made)).await.unwrap();
    let (channel, _entries) = channel(place.path(), &[&one, &two], &made.ca()).await;
    let (ended, in_flight, answered) =
        (Arc::new(AtomicBool::new(false)), Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (channel, ended) = (channel.clone(), ended.clone());
            let (in_flight, answered) = (in_flight.clone(), answered.clone());
            tokio::spawn(async move {
                let mut failures = Vec::new();
                while !ended.load(Ordering::SeqCst) {
                    in_flight.fetch_add(1, Ordering::SeqCst);
                    match ask(&channel).await {
                        Ok(()) => drop(answered.fetch_add(1, Ordering::SeqCst)),
                        Err(status) => failures.push(status),
                    }
                    in_flight.fetch_sub(1, Ordering::SeqCst);
                }
                failures
            })
        })
        .collect();
    let more = async |count: usize| {
        let (began, wanted) = (Instant::now(), answered.load(Ordering::SeqCst) + count);
        while answered.load(Ordering::SeqCst) < wanted {
            assert!(began.elapsed() < SOON, "no answers");
            sleep(Duration::from_millis(5)).await;
        }
    };
    more(200).await;
    one.kill().await.unwrap();
    more(500).await;
    ended.store(true, Ordering::SeqCst);
    let mut failures = Vec::new();
    for caller in callers {
        failures.extend(caller.await.unwrap());
    }
    assert!(failures.len() <= 4, "more failed than were in flight: {failures:?}");
    // An answer that had begun breaks in the middle of its body, for which tonic has no better word.
    let broke = |status: &Status| match status.code() {
        Code::Unavailable => true,
        Code::Unknown => status.message().contains("error reading a body"),
        _ => false,
    };
    assert!(failures.iter().all(broke), "{failures:?}");
    for _ in 0..100 {
        ask(&channel).await.expect("an answer");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_not_trusted_is_named() {
    let place = tempfile::tempdir().unwrap();
    let (server, made) = secure(place.path()).await;
    let (channel, _entries) = channel(place.path(), &[&server], &made.other_ca()).await;
    let status = ask(&channel).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(status.message().contains("invalid peer certificate"), "{status}");
}
