//! A handle may outlive the runtime that it was first used on, as one in a `LazyLock` does in a program's tests.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::spawn_blocking;

use super::Bench;
use super::gate::first;
use super::support::{SOON, bytes, kind, next_event, reaches};
use crate::announce::{Registration, State};
use crate::error::ErrorKind;
use crate::ext::RegistryExt;
use crate::name::Key;
use crate::options::RegisterOptions;
use crate::registry::Registry;
use crate::subscription::Event;

/// Runs a future to its end on a runtime of its own, which has ended when this returns.
async fn on_a_runtime<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let worked = spawn_blocking(|| {
        let runtime: Runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let result = runtime.block_on(work);
        // What it still runs ends here, as at the end of a test.
        thread::spawn(move || drop(runtime)).join().expect("the runtime ends");
        result
    });
    worked.await.expect("no panic")
}

/// An announced entry whose runtime has ended.
async fn announced_on_an_ended_runtime(bench: &Bench, key: Key, options: RegisterOptions) -> Registration {
    let registry = Arc::clone(&bench.registry);
    on_a_runtime(async move { registry.announce(key, bytes("1"), options).await.expect("announced") }).await
}

pub(super) async fn a_handle_works_on_the_next_runtime(bench: &Bench) {
    let (registry, scope, options) = (Arc::clone(&bench.registry), bench.scope(), bench.long());
    let (key, other) = (bench.key("a"), bench.key("b"));
    let mut lease = {
        let (registry, key) = (Arc::clone(&registry), key.clone());
        on_a_runtime(async move { registry.register(&key, bytes("1"), &options).await.expect("registered") }).await
    };
    for round in 0..3 {
        let (registry, scope) = (Arc::clone(&registry), scope.clone());
        let (key, other, held) = (key.clone(), other.clone(), lease.clone());
        // Each operation is the first one on its runtime once.
        lease = on_a_runtime(async move {
            let updated = match round {
                0 => {
                    registry.renew(&held).await.expect("renewed by the first call");
                    held
                }
                1 => registry.update(&held, bytes("2")).await.expect("updated by the first call"),
                _ => held,
            };
            let index = registry.list(&scope).await.expect("listed").index;
            let mut watch = registry.watch(&scope, index).await.expect("watched");
            let added = registry.register(&other, bytes("3"), &options).await.expect("registered");
            let told =
                async { while first(&mut watch).await.expect("it goes on").expect("no error").changes.is_empty() {} };
            tokio::time::timeout(SOON, told).await.expect("the change is reported");
            registry.deregister(&added).await.expect("deregistered");
            let mut subscription = registry.subscribe(scope);
            assert!(matches!(next_event(&mut subscription).await, Event::Snapshot { .. }));
            registry.renew(&updated).await.expect("renewed");
            drop(subscription);
            updated
        })
        .await;
        let _ = key;
    }
    assert_eq!(bench.names().await, ["a"]);
    let released = {
        let registry = Arc::clone(&registry);
        on_a_runtime(async move { registry.deregister(&lease).await }).await
    };
    released.expect("deregistered by the first call");
    assert_eq!(bench.names().await, [""; 0]);
}

/// Nothing renews the entry any more, and that is what everyone who asks hears; it is not called lost, evicted or held.
pub(super) async fn a_registration_says_that_its_runtime_has_ended(bench: &Bench) {
    let registration = announced_on_an_ended_runtime(bench, bench.key("a"), bench.long()).await;
    let status = reaches(&registration, |state| state == State::Lost).await;
    assert_eq!((registration.token(), status.is_final()), (None, false));
    assert_eq!(kind(registration.check().await), ErrorKind::Aborted);
    assert_eq!(kind(registration.update(bytes("2")).await), ErrorKind::Aborted);
    assert_eq!(bench.members().await["a"], bytes("1"), "it is there for the rest of its TTL");
    registration.deregister().await.expect("deregistered on the caller's runtime");
    assert_eq!(bench.names().await, [""; 0], "Ok means that it is gone");
}

pub(super) async fn subscriptions_of_several_runtimes_share_a_handle(bench: &Bench) {
    let (registry, scope) = (Arc::clone(&bench.registry), bench.scope());
    let mut here = registry.subscribe(scope.clone());
    assert!(matches!(next_event(&mut here).await, Event::Snapshot { .. }));
    let there = {
        let (registry, scope) = (Arc::clone(&registry), scope.clone());
        on_a_runtime(async move {
            let mut there = registry.subscribe(scope);
            assert!(matches!(next_event(&mut there).await, Event::Snapshot { .. }));
        })
    };
    there.await;
    // The end of the other runtime is no business of this subscription.
    bench.put("a", "1").await;
    let told = tokio::time::timeout(SOON + Duration::from_secs(10), async {
        while !matches!(next_event(&mut here).await, Event::Changes(_)) {}
    });
    told.await.expect("the change is reported");
}
