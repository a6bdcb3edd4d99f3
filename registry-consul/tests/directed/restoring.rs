//! c-1: a snapshot of a real server is restored, and its history goes backwards.

use std::sync::Arc;
use std::time::Duration;

use registry_core::{Cause, Dir, Event, Gap, Registry, RegistryExt, State, Subscription};
use test_servers::{Consul, ConsulOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::support::{bytes, dir, key, keys, options, raw, services, short, start};

/// The longest silence of a watch, and a busy machine.
const SOON: Duration = Duration::from_secs(40);

/// One request with bytes that are no text, and the body of the answer. Version 1.0, so that it is not in chunks.
async fn exchange(consul: &Consul, method: &str, body: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", consul.port())).await.expect("connected");
    let head = format!("{method} /v1/snapshot HTTP/1.0\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.write_all(body).await.expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("headers");
    let said = String::from_utf8_lossy(&answer[..end]).into_owned();
    assert!(said.lines().next().is_some_and(|line| line.contains(" 200 ")), "{said}");
    answer.split_off(end + 4)
}

/// What `consul snapshot save` does.
async fn save(consul: &Consul) -> Vec<u8> {
    exchange(consul, "GET", b"").await
}

/// What `consul snapshot restore` does.
async fn restore(consul: &Consul, snapshot: &[u8]) {
    exchange(consul, "PUT", snapshot).await;
}

async fn next(subscription: &mut Subscription) -> Event {
    let next = timeout(SOON, subscription.next()).await.expect("in time");
    next.expect("it goes on").expect("no permanent error")
}

/// Reads until these are the members; returns why whole states were told.
async fn follow(subscription: &mut Subscription, state: &mut Vec<String>, wanted: &[&str]) -> Vec<Gap> {
    let (mut gaps, begun) = (Vec::new(), Instant::now());
    while state != wanted {
        assert!(begun.elapsed() < SOON, "{state:?} instead of {wanted:?}");
        match next(subscription).await {
            Event::Snapshot { snapshot, cause } => {
                *state = snapshot.entries.iter().map(|entry| entry.name.to_string()).collect();
                gaps.extend(match cause {
                    Cause::Gap(gap) => Some(gap),
                    Cause::Initial => None,
                });
            }
            Event::Changes(batch) => {
                for change in &batch.changes {
                    state.retain(|name| name != change.name().as_str());
                    if short(change).starts_with('+') {
                        state.push(change.name().to_string());
                    }
                }
                state.sort();
            }
            Event::Interrupted { .. } | Event::Resumed { .. } => {}
        }
    }
    gaps
}

fn is_of_another_history(gaps: &[Gap]) -> bool {
    gaps.iter().any(|gap| matches!(gap, Gap::EpochChanged | Gap::Compacted))
}

#[tokio::test]
async fn a_restored_server_is_another_history() {
    let consul = start(ConsulOptions::default()).await;
    let registry = Arc::new(keys(&consul));
    let often = options().renew_every(Duration::from_secs(2));
    let before = registry.announce(key("/a/web/before"), bytes("1"), often).await.expect("announced");
    let former = before.token();
    raw(&consul, "PUT", "/v1/kv/a/web/theirs", "x").await;
    raw(&consul, "PUT", "/v1/agent/service/register", r#"{"Name":"web","Address":"10.0.0.1","Port":80}"#).await;
    let snapshot = save(&consul).await;

    // Elsewhere, for its keeper writes as soon as it finds out, which moves the index of its directory beyond the old one.
    let after = registry.announce(key("/a/db/newer"), bytes("1"), often).await.expect("announced");
    for number in 0..20 {
        raw(&consul, "PUT", "/v1/kv/a/web/theirs", &number.to_string()).await;
    }
    raw(&consul, "PUT", "/v1/kv/a/web/undone", "x").await;
    let mut watched = registry.subscribe(Dir::new("/a/web").expect("valid"));
    let mut state = Vec::new();
    follow(&mut watched, &mut state, &["before", "theirs", "undone"]).await;
    let mut instances = Arc::new(services(&consul)).subscribe(Dir::new("/a/web").expect("valid"));
    let mut listed = Vec::new();
    follow(&mut instances, &mut listed, &["10.0.0.1:80"]).await;
    let last = registry.list(&dir("/a/web")).await.expect("listed").index;

    restore(&consul, &snapshot).await;
    let gaps = follow(&mut watched, &mut state, &["before", "theirs"]).await;
    assert!(is_of_another_history(&gaps), "{gaps:?}");
    let now = registry.list(&dir("/a/web")).await.expect("listed").index;
    assert!(!now.same_epoch(last), "{now:#} is of the epoch of {last:#}");
    // Whatever the watch makes of it, what follows is seen.
    raw(&consul, "PUT", "/v1/kv/a/web/zz", "x").await;
    follow(&mut watched, &mut state, &["before", "theirs", "zz"]).await;
    raw(&consul, "PUT", "/v1/agent/service/register", r#"{"ID":"w2","Name":"web","Address":"10.0.0.2","Port":80}"#)
        .await;
    follow(&mut instances, &mut listed, &["10.0.0.1:80", "10.0.0.2:80"]).await;
    // One session was in the snapshot, the other one was not.
    before.check().await.expect("held");
    assert_eq!(before.token(), former, "it was there all the time");
    let begun = Instant::now();
    while !matches!(after.status().state, State::Held { .. }) || after.check().await.is_err() {
        assert!(begun.elapsed() < SOON, "{:?}", after.status());
        sleep(Duration::from_millis(50)).await;
    }
}
