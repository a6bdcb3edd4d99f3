//! What a balancer is told, as members come, go, move and drain.

#[path = "../../registry/examples/own_backend/memory.rs"]
mod memory;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_core::Stream;
use memory::Memory;
use registry::{Catalogue, Codec, Dir, Health, Instance, Json, Lease, Name, RegisterOptions, Registry, ValueIsCount};
use registry_core::conformance::Gate;
use registry_tower::Discover;
use tokio::time::{sleep, timeout};
use tower::discover::Change;

const SOON: Duration = Duration::from_secs(20);

fn web() -> Dir {
    Dir::new("/clusters/web").unwrap()
}

fn instance(port: u16) -> Instance {
    Instance::new("10.0.0.7", port).unwrap()
}

async fn put(store: &impl Registry, name: &str, instance: &Instance) -> Lease {
    let key = web().key(name).unwrap();
    let value = Json.encode(&key.name(), instance).unwrap();
    store.register(&key, value, &RegisterOptions::new().ttl(Duration::from_hours(1))).await.unwrap()
}

async fn remove(store: &impl Registry, name: &str) {
    assert!(store.remove(&web().key(name).unwrap()).await.unwrap());
}

/// A change in few letters.
fn short(change: &Change<Name, String>) -> String {
    match change {
        Change::Insert(name, service) => format!("+{name}={service}"),
        Change::Remove(name) => format!("-{name}"),
    }
}

async fn next(discover: &mut Discover<String>) -> Change<Name, String> {
    let next = timeout(SOON, poll_fn(|context| Pin::new(&mut *discover).poll_next(context))).await;
    match next.expect("a change") {
        Some(Ok(change)) => change,
        None => panic!("it ended"),
    }
}

async fn told(discover: &mut Discover<String>) -> String {
    short(&next(discover).await)
}

/// Nothing is told for a while, and there is no end.
async fn quiet(discover: &mut Discover<String>) {
    sleep(Duration::from_secs(5)).await;
    let polled = poll_fn(|context| Poll::Ready(Pin::new(&mut *discover).poll_next(context))).await;
    assert!(polled.is_pending(), "{polled:?}");
}

fn discover(registry: &Arc<Gate>) -> Discover<String> {
    Discover::new(Catalogue::follow(registry, web(), Json), str::to_owned)
}

#[tokio::test(start_paused = true)]
async fn services_come_move_and_go() {
    let store = Memory::new();
    let mut discover = discover(&Gate::new(Arc::new(store.clone())));
    quiet(&mut discover).await;
    put(&store, "a", &instance(1)).await;
    assert_eq!(told(&mut discover).await, "+a=10.0.0.7:1");
    put(&store, "a", &instance(1).tag("new").weight(7)).await;
    quiet(&mut discover).await;
    put(&store, "a", &instance(2)).await;
    assert_eq!(told(&mut discover).await, "+a=10.0.0.7:2", "an insertion replaces");
    put(&store, "a", &instance(2).health(Health::Draining)).await;
    assert_eq!(told(&mut discover).await, "-a", "it gets nothing new");
    put(&store, "a", &instance(2)).await;
    assert_eq!(told(&mut discover).await, "+a=10.0.0.7:2");
    put(&store, "b", &instance(3).weight(0)).await;
    quiet(&mut discover).await;
    remove(&store, "a").await;
    assert_eq!(told(&mut discover).await, "-a");
    remove(&store, "b").await;
    quiet(&mut discover).await;
}

#[tokio::test(start_paused = true)]
async fn the_new_come_before_the_old_go_and_a_slow_reader_is_told_the_difference() {
    let store = Memory::new();
    let mut discover = discover(&Gate::new(Arc::new(store.clone())));
    put(&store, "a", &instance(1)).await;
    put(&store, "b", &instance(2)).await;
    let mut first = [told(&mut discover).await, told(&mut discover).await];
    first.sort();
    assert_eq!(first, ["+a=10.0.0.7:1", "+b=10.0.0.7:2"]);
    for port in 10..50 {
        put(&store, "c", &instance(port)).await;
    }
    remove(&store, "a").await;
    remove(&store, "b").await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(told(&mut discover).await, "+c=10.0.0.7:49");
    assert_eq!([told(&mut discover).await, told(&mut discover).await], ["-a", "-b"]);
    quiet(&mut discover).await;
}

#[tokio::test(start_paused = true)]
async fn errors_never_end_it() {
    let store = Memory::new();
    let gate = Gate::new(Arc::new(store.clone()));
    let mut discover = discover(&gate);
    put(&store, "a", &instance(1)).await;
    assert_eq!(told(&mut discover).await, "+a=10.0.0.7:1");
    gate.close();
    put(&store, "b", &instance(2)).await;
    remove(&store, "a").await;
    sleep(Duration::from_mins(10)).await;
    quiet(&mut discover).await;
    gate.open();
    assert_eq!([told(&mut discover).await, told(&mut discover).await], ["+b=10.0.0.7:2", "-a"]);
    // What cannot be mended ends the subscription; the services stay.
    let mut none = Discover::new(
        Catalogue::follow(
            &Arc::new(registry::layer::Namespace::new(
                store,
                Dir::new(&format!("/{}/{}", "x".repeat(255), "y".repeat(255))).unwrap(),
            )),
            web(),
            Json,
        ),
        str::to_owned,
    );
    quiet(&mut none).await;
}

#[tokio::test(start_paused = true)]
async fn any_codec_and_any_choice_will_do() {
    let store = Memory::new();
    let catalogue = Catalogue::follow(&Arc::new(store.clone()), web(), ValueIsCount);
    let choose = |_: &Name, workers: &u32| (*workers > 0).then_some(*workers);
    let mut discover = Discover::with(catalogue, choose, |name, workers| format!("{name}*{workers}"));
    let options = RegisterOptions::new().ttl(Duration::from_hours(1));
    let lease = store.register(&web().key("a").unwrap(), "3".into(), &options).await.unwrap();
    assert_eq!(told(&mut discover).await, "+a=a*3");
    store.update(&lease, "0".into()).await.unwrap();
    assert_eq!(told(&mut discover).await, "-a");
}

/// Whatever happens, and however slowly it is read: who makes the changes has the members that take work.
#[tokio::test(start_paused = true)]
async fn folding_the_changes_gives_the_members() {
    for seed in 0..50_u32 {
        let mut random = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let mut dice = move |sides: u32| {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            random % sides
        };
        let store = Memory::new();
        let gate = Gate::new(Arc::new(store.clone()));
        let mut discover = discover(&gate);
        let (mut expected, mut folded) = (BTreeMap::new(), BTreeMap::new());
        for _ in 0..60 {
            let name = ["a", "b", "c", "d"][dice(4) as usize];
            match dice(8) {
                0..4 => {
                    let port = 1 + u16::try_from(dice(3)).unwrap();
                    let drains = dice(4) == 0;
                    let health = if drains { Health::Draining } else { Health::Healthy };
                    put(&store, name, &instance(port).health(health)).await;
                    expected.insert(name.to_owned(), instance(port).authority());
                    if drains {
                        expected.remove(name);
                    }
                }
                4 => {
                    store.remove(&web().key(name).unwrap()).await.unwrap();
                    expected.remove(name);
                }
                5 => gate.close(),
                6 => gate.open(),
                _ => {
                    sleep(Duration::from_millis(dice(5000).into())).await;
                    if let Ok(change) = timeout(Duration::from_millis(1), next(&mut discover)).await {
                        fold(&mut folded, change);
                    }
                }
            }
        }
        gate.open();
        sleep(Duration::from_secs(30)).await;
        while let Ok(change) = timeout(Duration::from_secs(5), next(&mut discover)).await {
            fold(&mut folded, change);
        }
        assert_eq!(folded, expected, "seed {seed}");
    }
}

fn fold(folded: &mut BTreeMap<String, String>, change: Change<Name, String>) {
    match change {
        Change::Insert(name, service) => {
            assert_ne!(folded.insert(name.to_string(), service.clone()), Some(service), "nothing is told twice");
        }
        Change::Remove(name) => assert!(folded.remove(name.as_str()).is_some(), "{name} was not there"),
    }
}
