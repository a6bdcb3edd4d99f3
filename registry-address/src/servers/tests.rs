use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use registry_core::async_trait;
use tokio::time::sleep;

use super::*;
use crate::{Resolve, Scheme};

const ETCD: Scheme = Scheme { plain: "etcd", secure: "etcds", port: 2379 };

/// A zone of names whose contents the test changes.
#[derive(Clone, Debug, Default)]
struct Zone(Arc<Contents>);

#[derive(Debug, Default)]
struct Contents {
    addresses: Mutex<Vec<u8>>,
    queries: AtomicUsize,
    delay: Mutex<Duration>,
}

impl Zone {
    fn of(addresses: &[u8]) -> Self {
        let zone = Self::default();
        zone.set(addresses);
        zone
    }

    /// An empty list is an error.
    fn set(&self, addresses: &[u8]) {
        *self.0.addresses.lock().unwrap() = addresses.to_vec();
    }

    fn delay(&self, delay: Duration) {
        *self.0.delay.lock().unwrap() = delay;
    }

    fn queries(&self) -> usize {
        self.0.queries.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Resolve for Zone {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        assert!(!host.contains(':'), "{host} is no name");
        self.0.queries.fetch_add(1, Ordering::SeqCst);
        let delay = *self.0.delay.lock().unwrap();
        sleep(delay).await;
        let addresses = self.0.addresses.lock().unwrap().clone();
        if addresses.is_empty() {
            return Err(io::Error::other("no such name"));
        }
        Ok(addresses.iter().map(|last| SocketAddr::from(([10, 0, 0, *last], port))).collect())
    }
}

fn servers(endpoints: &[&str], zone: &Zone) -> Arc<Servers> {
    let address = Address::new(&ETCD, endpoints.iter().copied()).resolver(zone.clone());
    address.check().unwrap();
    Servers::new(&address).unwrap()
}

/// What a round comes to, in short: the last byte of each address, `?` for a name without one.
async fn round(servers: &Arc<Servers>, each: impl Fn(Server)) -> String {
    let (mut round, mut seen) = (servers.round(), Vec::new());
    while let Some(next) = round.next().await {
        seen.push(match next {
            Ok(server) => {
                each(server);
                short(servers, server)
            }
            Err(_) => "?".to_owned(),
        });
    }
    seen.join(" ")
}

fn short(servers: &Servers, server: Server) -> String {
    servers.label(server).trim_end_matches(')').rsplit(['.', ':', '/']).next().unwrap_or_default().to_owned()
}

/// As a call whose first server answers.
async fn first(servers: &Arc<Servers>) -> String {
    let server = servers.round().next().await.unwrap().unwrap();
    servers.keep(server);
    short(servers, server)
}

async fn all_fail(servers: &Arc<Servers>) -> String {
    let fail = |server| {
        servers.leave(server);
    };
    round(servers, fail).await
}

/// Answers where the last byte is this.
fn answers(servers: &Arc<Servers>, last: u8) -> impl Fn(Server) {
    let suffix = format!(".{last})");
    move |server| {
        if servers.label(server).ends_with(&suffix) {
            servers.keep(server);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_address_of_a_name_is_a_server() {
    let zone = Zone::of(&[1, 2, 3, 2]);
    let servers = servers(&["etcd:1", "10.9.9.9:77", "unix:/run/e.sock"], &zone);
    assert_eq!(round(&servers, |_| {}).await, "1 2 3 77 sock");
    assert_eq!(round(&servers, answers(&servers, 2)).await, "1 2 3 77 sock");
    assert_eq!(round(&servers, |_| {}).await, "2 3 1 77 sock", "the one that answered comes first");
    let current = servers.current();
    assert_eq!(servers.label(current), "etcd:1 (10.0.0.2)");
    assert_eq!(servers.authority(current), "etcd:1");
    assert_eq!(servers.route(current), Some(Route::Tcp("10.0.0.2:1".parse().unwrap())));
    assert_eq!(zone.queries(), 1, "nothing has failed");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_failed_is_left_for_the_next_one_by_the_first_who_sees_it() {
    let zone = Zone::of(&[1, 2]);
    let servers = servers(&["etcd:1", "10.9.9.9:77"], &zone);
    let mut first = servers.round();
    let failed = first.next().await.unwrap().unwrap();
    let next = servers.leave(failed).expect("it was to be used, although nobody had used it");
    assert_eq!(servers.label(next), "etcd:1 (10.0.0.2)");
    assert_eq!(servers.leave(failed), None, "another request has seen it before");
    assert_eq!(round(&servers, |_| {}).await, "2 1 77");
    assert_eq!(servers.label(servers.leave(next).unwrap()), "10.9.9.9:77");
    assert_eq!(round(&servers, |_| {}).await, "77 1 2");
}

/// A pod was replaced, and another one has its name.
#[tokio::test(start_paused = true)]
async fn a_name_whose_addresses_have_all_failed_is_resolved_again_in_the_same_round() {
    let zone = Zone::of(&[1]);
    let servers = servers(&["etcd:1"], &zone);
    assert_eq!(all_fail(&servers).await, "1");
    zone.set(&[2, 3]);
    assert_eq!(all_fail(&servers).await, "1", "names are not resolved all the time");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(all_fail(&servers).await, "1 2 3");
    zone.set(&[4]);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(all_fail(&servers).await, "2 3 4");
    assert_eq!(zone.queries(), 3);
}

/// One of several addresses has failed, and the others do.
#[tokio::test(start_paused = true)]
async fn after_a_failure_a_name_is_resolved_beside_the_requests() {
    let zone = Zone::of(&[1, 2]);
    let servers = servers(&["etcd:1"], &zone);
    servers.leave(servers.round().next().await.unwrap().unwrap());
    zone.set(&[2, 3]);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(first(&servers).await, "2", "it waits for nothing");
    sleep(Duration::from_millis(1)).await;
    assert_eq!(zone.queries(), 2);
    assert_eq!(round(&servers, |_| {}).await, "2 3");
}

#[tokio::test(start_paused = true)]
async fn a_name_is_resolved_again_every_half_minute() {
    let zone = Zone::of(&[1, 2]);
    let servers = servers(&["etcd:1"], &zone);
    assert_eq!(first(&servers).await, "1");
    zone.set(&[2, 3]);
    sleep(Duration::from_secs(29)).await;
    assert_eq!((first(&servers).await.as_str(), zone.queries()), ("1", 1));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(first(&servers).await, "1");
    sleep(Duration::from_millis(1)).await;
    assert_eq!(zone.queries(), 2);
    assert_eq!(round(&servers, |_| {}).await, "2 3", "what was used is not there any more");
    // A caller that gives the first of them up must not find it again.
    let gone = servers.current();
    assert!(!servers.holds(gone));
    let given_up = servers.round().next().await.unwrap().unwrap();
    servers.leave(given_up);
    assert_eq!(first(&servers).await, "3");
}

/// An outage of DNS is none of the servers.
#[tokio::test(start_paused = true)]
async fn a_lookup_that_fails_takes_nothing_away() {
    let zone = Zone::of(&[]);
    let servers = servers(&["etcd:1", "10.9.9.9:77"], &zone);
    assert_eq!(all_fail(&servers).await, "? 77");
    assert_eq!(zone.queries(), 1);
    zone.set(&[1, 2]);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(round(&servers, answers(&servers, 2)).await, "1 2 77");
    zone.set(&[]);
    for _ in 0..5 {
        sleep(Duration::from_secs(31)).await;
        assert_eq!(round(&servers, |_| {}).await, "2 1 77");
    }
    assert_eq!(zone.queries(), 7);
}

/// The answer to an outage is no flood of queries.
#[tokio::test(start_paused = true)]
async fn a_name_is_not_resolved_more_than_once_a_second() {
    for addresses in [&[1, 2][..], &[]] {
        let zone = Zone::of(addresses);
        let servers = servers(&["etcd:1"], &zone);
        for _ in 0..1000 {
            all_fail(&servers).await;
            sleep(Duration::from_millis(10)).await;
        }
        assert!((9..=11).contains(&zone.queries()), "{} queries in ten seconds", zone.queries());
    }
}

/// A call waits for so long, and the next call has what was found meanwhile.
#[tokio::test(start_paused = true)]
async fn a_resolver_that_hangs_holds_up_nobody_for_long() {
    let zone = Zone::of(&[1]);
    zone.delay(Duration::from_secs(4));
    let servers = servers(&["etcd:1", "10.9.9.9:77"], &zone);
    let begun = tokio::time::Instant::now();
    assert_eq!(round(&servers, |_| {}).await, "? 77");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    // Callers that give up earlier still.
    for _ in 0..30 {
        let _ = tokio::time::timeout(Duration::from_millis(100), round(&servers, |_| {})).await;
    }
    assert_eq!(zone.queries(), 1);
    let mut found = servers.round();
    assert!(found.next().await.is_some());
    assert_eq!(all_fail(&servers).await, "77 1");
}

/// A registry lives longer than the runtime on which a lookup was under way.
#[test]
fn a_lookup_that_ended_with_its_runtime_is_made_again() {
    let zone = Zone::of(&[1]);
    let servers = servers(&["etcd:1"], &zone);
    let on_a_runtime = |limit| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async { tokio::time::timeout(limit, round(&servers, |_| {})).await })
    };
    zone.delay(Duration::from_hours(1));
    on_a_runtime(Duration::from_millis(20)).unwrap_err();
    zone.delay(Duration::ZERO);
    assert_eq!(on_a_runtime(Duration::from_secs(5)).unwrap(), "1");
}

#[tokio::test(start_paused = true)]
async fn what_is_left_is_counted_for_sharing_the_time() {
    let zone = Zone::of(&[1, 2, 3]);
    let servers = servers(&["etcd:1", "10.9.9.9:77"], &zone);
    let mut round = servers.round();
    let mut left = vec![round.left()];
    while round.next().await.is_some() {
        left.push(round.left());
    }
    assert_eq!(left, [2, 3, 2, 1, 0], "a name that was not resolved counts as one");
}

/// The system knows its network interfaces; a resolver of names does not.
#[tokio::test]
async fn a_zone_is_resolved_by_the_system() {
    let servers = servers(&["[fe80::1%lo]:1", "[::1]:2"], &Zone::of(&[]));
    let mut round = servers.round();
    let zoned = round.next().await.unwrap().unwrap();
    assert_eq!(servers.authority(zoned), "[fe80::1]:1");
    let Some(Route::Tcp(SocketAddr::V6(address))) = servers.route(zoned) else { panic!("{zoned:?}") };
    assert!(address.scope_id() > 0 && address.ip().is_unicast_link_local(), "{address}");
    let plain = round.next().await.unwrap().unwrap();
    assert_eq!(servers.route(plain), Some(Route::Tcp("[::1]:2".parse().unwrap())));
}
