//! What every backend can do, and what a fixed list does.

use std::time::Duration;

use tokio::time::timeout;

use super::Bench;
use super::gate::first;
use super::support::{bytes, kind, members, next_event};
use crate::entry::Snapshot;
use crate::error::ErrorKind;
use crate::ext::RegistryExt;
use crate::name::{Dir, Scope};
use crate::options::{Condition, RegisterOptions};
use crate::subscription::{Cause, Event};

pub(super) async fn an_unknown_directory_is_empty(bench: &Bench) {
    let nowhere = Scope::from(Dir::new("/conformance/nobody/was/ever/here").expect("valid"));
    let Snapshot { entries, .. } = bench.registry.list(&nowhere).await.expect("an empty snapshot, not an error");
    assert_eq!(entries, []);
}

pub(super) async fn an_unknown_entry_is_empty(bench: &Bench) {
    let scope = Scope::from(bench.key("nobody-has-this-name"));
    assert_eq!(bench.registry.list(&scope).await.expect("an empty snapshot, not an error").entries, []);
}

pub(super) async fn the_backend_says_who_and_what_it_is(bench: &Bench) {
    let (info, able) = (bench.registry.info(), bench.able());
    assert!(!info.scheme.is_empty(), "{info:?}");
    assert!(able.ttl_min <= able.ttl_max, "{able:?}");
    assert!(able.idle_limit >= Duration::from_secs(1), "{able:?}");
    assert!(able.register || !able.conditions, "conditions are of no use without registering: {able:?}");
}

/// The connections of a trial may carry credentials with the words `canary` in them.
pub(super) async fn no_secret_is_shown(bench: &Bench) {
    let shown = format!("{:?} {:?} {}", bench.registry, bench.registry.info(), bench.registry.info());
    assert!(!shown.contains("canary"), "a secret is shown: {shown}");
}

pub(super) async fn a_fixed_list_is_listed_in_order(bench: &Bench) {
    let (_, names) = bench.subject.fixed().expect("a static subject names its content");
    assert_eq!(bench.names().await, names);
    let again = bench.snapshot().await;
    assert_eq!(again, bench.snapshot().await);
    assert!(again.index.position() > 0);
}

pub(super) async fn a_fixed_watch_stays_silent(bench: &Bench) {
    let mut watch = bench.watch(bench.snapshot().await.index).await;
    let silence = timeout(Duration::from_millis(300), first(&mut watch)).await;
    assert!(silence.is_err(), "a static watch neither tells nor ends: {silence:?}");
}

pub(super) async fn a_fixed_subscription_is_one_snapshot(bench: &Bench) {
    let mut subscription = bench.registry.subscribe(&bench.dir);
    let Event::Snapshot { snapshot, cause: Cause::Initial } = next_event(&mut subscription).await else {
        panic!("the first event is not a snapshot")
    };
    assert_eq!(members(&snapshot), bench.members().await);
    let silence = timeout(Duration::from_millis(300), subscription.next()).await;
    assert!(silence.is_err(), "nothing follows: {silence:?}");
}

pub(super) async fn a_fixed_list_refuses_to_register(bench: &Bench) {
    for condition in [Condition::Any, Condition::Absent, Condition::Present] {
        let options = RegisterOptions::new().condition(condition);
        let result = bench.registry.register(&bench.key("new"), bytes("v"), &options).await;
        assert_eq!(kind(result), ErrorKind::Unsupported);
    }
    assert_eq!(kind(bench.registry.remove(&bench.key("new")).await), ErrorKind::Unsupported);
    let announced = bench.registry.announce(bench.key("new"), "v", RegisterOptions::new()).await;
    assert_eq!(kind(announced), ErrorKind::Unsupported);
}
