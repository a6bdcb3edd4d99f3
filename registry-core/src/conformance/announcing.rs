//! A registration is never silently lost, and gives way where it must.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::Bench;
use super::gate::Gate;
use super::support::{SOON, bytes, kind, reaches};
use crate::announce::{Registration, State};
use crate::error::ErrorKind;
use crate::ext::RegistryExt;
use crate::index::Index;
use crate::options::Condition;

impl Bench {
    async fn announce(&self, name: &str, value: &str) -> Registration {
        let announced = self.registry.announce(self.key(name), bytes(value), self.short()).await;
        announced.unwrap_or_else(|error| panic!("announcing {name}: {error:?}"))
    }

    /// Waits until `name` has this value.
    async fn appears(&self, name: &str, value: &str) {
        let begun = Instant::now();
        while self.members().await.get(name) != Some(&bytes(value)) {
            assert!(begun.elapsed() < SOON, "{name} does not become {value}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

fn held(registration: &Registration) -> Index {
    registration.token().unwrap_or_else(|| panic!("it is not held: {:?}", registration.status()))
}

fn is_held(state: State) -> bool {
    matches!(state, State::Held { .. })
}

pub(super) async fn an_announced_entry_stands(bench: &Bench) {
    let registration = bench.announce("a", "1").await;
    assert_eq!(bench.members().await["a"], bytes("1"));
    let token = held(&registration);
    registration.update(bytes("2")).await.expect("updated");
    assert_eq!(bench.members().await["a"], bytes("2"));
    registration.check().await.expect("held");
    assert_eq!(held(&registration), token);
}

pub(super) async fn an_announced_entry_outlives_its_time(bench: &Bench) {
    let registration = bench.announce("a", "1").await;
    let token = held(&registration);
    let begun = Instant::now();
    while begun.elapsed() < bench.ttl() + bench.able().gone_after(bench.ttl()) {
        assert_eq!(bench.names().await, ["a"]);
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(held(&registration), token, "it was never lost in between");
}

pub(super) async fn an_eviction_is_final_and_told_at_once(bench: &Bench) {
    let options = bench.long();
    let registration = bench.registry.announce(bench.key("a"), bytes("1"), options).await.expect("announced");
    // Once its own watch runs, it must not wait for the next renewal, which is far away.
    sleep(Duration::from_millis(500)).await;
    let begun = Instant::now();
    bench.other.remove(&bench.key("a")).await.expect("removed");
    let status = reaches(&registration, |state| state == State::Evicted).await;
    assert!(begun.elapsed() < Duration::from_secs(12), "it took {:?}", begun.elapsed());
    assert!(status.is_final() && status.error.is_some());
    assert_eq!(kind(registration.update(bytes("2")).await), ErrorKind::Evicted);
    sleep(Duration::from_millis(300)).await;
    assert_eq!(bench.names().await, [""; 0], "who was evicted does not come back");
    registration.deregister().await.expect("there is nothing to give back");
}

pub(super) async fn an_outage_shorter_than_the_time_to_live_loses_nothing(bench: &Bench) {
    let gate = Gate::new(bench.registry.clone());
    let registration = gate.announce(bench.key("a"), bytes("1"), bench.long()).await.expect("announced");
    let token = held(&registration);
    gate.close();
    let failed = registration.check().await;
    assert_eq!(kind(failed), ErrorKind::Unavailable);
    assert_eq!(registration.status().state, State::Renewing);
    gate.open();
    reaches(&registration, is_held).await;
    assert_eq!(held(&registration), token);
    assert_eq!(bench.names().await, ["a"]);
}

pub(super) async fn an_outage_longer_than_the_time_to_live_is_mended(bench: &Bench) {
    let gate = Gate::new(bench.registry.clone());
    let registration = gate.announce(bench.key("a"), bytes("1"), bench.short()).await.expect("announced");
    let token = held(&registration);
    gate.close();
    reaches(&registration, |state| state == State::Lost).await;
    bench.gone_within("a", bench.able().gone_after(bench.ttl())).await;
    gate.open();
    reaches(&registration, is_held).await;
    // Where no name is owned, a late renewal may bring the old one back.
    assert!(held(&registration).position() > token.position() || !bench.able().conditions, "it is a new ownership");
    assert_eq!(bench.members().await["a"], bytes("1"));
}

pub(super) async fn the_latest_value_is_registered_again(bench: &Bench) {
    let gate = Gate::new(bench.registry.clone());
    let registration = gate.announce(bench.key("a"), bytes("old"), bench.short()).await.expect("announced");
    gate.close();
    assert!(registration.update(bytes("new")).await.is_err());
    bench.gone_within("a", bench.able().gone_after(bench.ttl())).await;
    gate.open();
    bench.appears("a", "new").await;
}

/// What the registry never takes must neither displace the value that it has, nor end the renewals.
pub(super) async fn a_refused_update_changes_nothing(bench: &Bench) {
    let options = bench.short().renew_every(bench.ttl() / 5);
    let registration = bench.registry.announce(bench.key("a"), bytes("1"), options).await.expect("announced");
    let token = held(&registration);
    let large = bytes(&"x".repeat(bench.able().value_max + 1));
    assert_eq!(kind(registration.update(large).await), ErrorKind::InvalidInput);
    let begun = Instant::now();
    while begun.elapsed() < bench.able().gone_after(bench.ttl()) {
        assert_eq!(bench.members().await["a"], bytes("1"));
        sleep(Duration::from_millis(100)).await;
    }
    registration.check().await.expect("held");
    assert_eq!(held(&registration), token);
}

pub(super) async fn a_name_that_was_taken_over_is_left_alone(bench: &Bench) {
    let former = bench.announce("a", "former").await;
    let winner = bench.put("a", "winner").await;
    reaches(&former, |state| state == State::Refused).await;
    sleep(bench.ttl()).await;
    assert_eq!(bench.members().await["a"], bytes("winner"));
    bench.other.renew(&winner).await.expect("undisturbed");
    bench.other.deregister(&winner).await.expect("released");
    reaches(&former, is_held).await;
    assert_eq!(bench.members().await["a"], bytes("former"));
}

pub(super) async fn an_announced_conflict_is_an_error(bench: &Bench) {
    bench.put("lock", "1").await;
    let options = bench.long().condition(Condition::Absent);
    let refused = bench.registry.announce(bench.key("lock"), bytes("2"), options).await;
    assert_eq!(kind(refused), ErrorKind::Conflict);
    assert_eq!(bench.members().await["lock"], bytes("1"));
}

pub(super) async fn deregistering_wins(bench: &Bench) {
    let registration = bench.announce("a", "1").await;
    registration.deregister().await.expect("released");
    assert_eq!(bench.names().await, [""; 0], "it is gone when the call returns");
    let registration = bench.announce("a", "1").await;
    bench.put("a", "successor").await;
    registration.deregister().await.expect("left alone");
    assert_eq!(bench.members().await["a"], bytes("successor"));
}

pub(super) async fn deregistering_during_an_outage_ends(bench: &Bench) {
    let gate = Gate::new(bench.registry.clone());
    let registration = gate.announce(bench.key("a"), bytes("1"), bench.short()).await.expect("announced");
    gate.close();
    let status = registration.watch();
    let ended = timeout(SOON, registration.deregister()).await.expect("it must not wait for the registry");
    assert!(ended.is_err(), "nobody was told");
    assert_eq!(status.borrow().state, State::Released);
    gate.open();
    bench.gone_within("a", bench.able().gone_after(bench.ttl())).await;
}

pub(super) async fn dropping_a_registration_releases_it(bench: &Bench) {
    let registration = bench.registry.announce(bench.key("a"), bytes("1"), bench.long()).await.expect("announced");
    drop(registration);
    bench.gone_within("a", SOON).await;
}

pub(super) async fn giving_up_an_announcement_leaves_nothing(bench: &Bench) {
    let gate = Gate::new(bench.registry.clone());
    gate.close();
    let wait = gate.announce(bench.key("a"), bytes("1"), bench.long());
    assert!(timeout(Duration::from_millis(300), wait).await.is_err(), "it cannot have been announced");
    gate.open();
    sleep(Duration::from_secs(1)).await;
    // What was under way just then is given back as soon as it stands.
    bench.gone_within("a", SOON).await;
}

pub(super) async fn what_is_left_can_be_taken_over(bench: &Bench) {
    let former = bench.announce("a", "1").await;
    let token = held(&former);
    former.leave().await.expect("left");
    assert_eq!(bench.members().await["a"], bytes("1"), "it stays for the rest of its time");
    let successor = bench.announce("a", "2").await;
    assert!(held(&successor).position() > token.position());
    sleep(bench.able().gone_after(bench.ttl())).await;
    assert_eq!(bench.members().await["a"], bytes("2"), "what the former one left behind does not take it away");
}

pub(super) async fn a_single_ownership_does_not_come_back(bench: &Bench) {
    let options = bench.short().single_ownership();
    let registration = bench.registry.announce(bench.key("a"), bytes("1"), options).await.expect("announced");
    let token = held(&registration);
    let theirs = bench.other.register(&bench.key("a"), bytes("2"), &bench.long()).await.expect("taken over");
    registration.lost(token).await;
    bench.other.deregister(&theirs).await.expect("given back");
    sleep(bench.ttl()).await;
    assert_eq!((bench.names().await, registration.token()), (Vec::new(), None), "the name is free, and stays so");
}
