//! Renewing, updating, releasing and losing.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Bench;
use super::support::{bytes, kind};
use crate::error::ErrorKind;
use crate::lease::Lease;
use crate::options::{Condition, RegisterOptions};

impl Bench {
    async fn brief(&self, name: &str) -> Lease {
        self.registry.register(&self.key(name), bytes("v"), &self.short()).await.expect("registered")
    }

    /// By then an entry that is not renewed must be gone.
    pub(super) fn overdue(&self, lease: &Lease) -> Duration {
        self.able().gone_after(lease.ttl())
    }
}

pub(super) async fn an_entry_that_nobody_renews_expires(bench: &Bench) {
    let lease = bench.brief("a").await;
    sleep(lease.ttl() / 2).await;
    assert_eq!(bench.names().await, ["a"], "it went before its time");
    bench.gone_within("a", bench.overdue(&lease)).await;
}

/// How long an entry stays is said for every time to live, not only for the shortest.
pub(super) async fn a_longer_time_to_live_ends_when_it_is_said(bench: &Bench) {
    let options = RegisterOptions::new().ttl(bench.ttl() * 2);
    let lease = bench.registry.register(&bench.key("a"), bytes("v"), &options).await.expect("registered");
    bench.gone_within("a", bench.overdue(&lease)).await;
}

pub(super) async fn a_renewal_keeps_an_entry(bench: &Bench) {
    let lease = bench.brief("a").await;
    let begun = Instant::now();
    while begun.elapsed() < bench.overdue(&lease) + lease.ttl() {
        sleep(lease.ttl() / 4).await;
        bench.registry.renew(&lease).await.expect("renewed");
        assert_eq!(bench.names().await, ["a"]);
    }
    bench.gone_within("a", bench.overdue(&lease)).await;
}

pub(super) async fn a_renewal_after_expiry_says_lost(bench: &Bench) {
    let lease = bench.brief("a").await;
    bench.gone_within("a", bench.overdue(&lease)).await;
    assert_eq!(kind(bench.registry.renew(&lease).await), ErrorKind::LeaseLost);
    assert_eq!(bench.names().await, [""; 0], "a renewal never brings an entry back");
}

pub(super) async fn a_renewal_after_a_removal_says_evicted(bench: &Bench) {
    let lease = bench.registry.register(&bench.key("a"), bytes("v"), &bench.long()).await.expect("registered");
    bench.registry.renew(&lease).await.expect("renewed");
    assert!(bench.other.remove(&bench.key("a")).await.expect("removed"));
    assert_eq!(kind(bench.registry.renew(&lease).await), ErrorKind::Evicted);
    assert_eq!(kind(bench.registry.update(&lease, bytes("x")).await), ErrorKind::Evicted);
    assert_eq!(bench.names().await, [""; 0]);
}

pub(super) async fn an_update_keeps_the_token_and_renews(bench: &Bench) {
    let mut lease = bench.brief("a").await;
    let (token, begun, mut number) = (lease.token(), Instant::now(), 0);
    while begun.elapsed() < bench.overdue(&lease) {
        sleep(lease.ttl() / 4).await;
        number += 1;
        lease = bench.registry.update(&lease, bytes(&number.to_string())).await.expect("updated");
        assert_eq!(bench.members().await["a"], bytes(&number.to_string()));
    }
    assert_eq!(lease.token(), token);
    bench.registry.renew(&lease).await.expect("the new lease is good");
    bench.gone_within("a", bench.overdue(&lease)).await;
}

pub(super) async fn an_update_of_a_lost_entry_changes_nothing(bench: &Bench) {
    let lease = bench.brief("a").await;
    bench.gone_within("a", bench.overdue(&lease)).await;
    assert_eq!(kind(bench.registry.update(&lease, bytes("x")).await), ErrorKind::LeaseLost);
    assert_eq!(bench.names().await, [""; 0]);
}

pub(super) async fn deregister_is_idempotent(bench: &Bench) {
    let lease = bench.brief("a").await;
    bench.registry.deregister(&lease).await.expect("released");
    assert_eq!(bench.names().await, [""; 0]);
    bench.registry.deregister(&lease).await.expect("released already");
    let lease = bench.brief("a").await;
    bench.gone_within("a", bench.overdue(&lease)).await;
    bench.registry.deregister(&lease).await.expect("expired already");
}

pub(super) async fn deregister_spares_a_successor(bench: &Bench) {
    let former = bench.brief("a").await;
    bench.other.remove(&bench.key("a")).await.expect("removed");
    let owner = bench.put("a", "successor").await;
    bench.registry.deregister(&former).await.expect("left alone");
    assert_eq!(bench.members().await["a"], bytes("successor"));
    assert!(kind(bench.registry.renew(&former).await) != ErrorKind::Unavailable);
    bench.other.renew(&owner).await.expect("undisturbed");
}

pub(super) async fn deregister_works_with_a_restored_lease(bench: &Bench) {
    let lease = bench.registry.register(&bench.key("a"), bytes("v"), &bench.long()).await.expect("registered");
    for _ in 0..3 {
        bench.registry.renew(&lease).await.expect("renewed");
    }
    let restored = Lease::restore(&lease.to_line()).expect("a lease");
    bench.other.deregister(&restored).await.expect("released by another process of the same owner");
    assert_eq!(bench.names().await, [""; 0]);
    bench.put("a", "successor").await;
    bench.other.deregister(&restored).await.expect("left alone");
    assert_eq!(bench.names().await, ["a"]);
}

pub(super) async fn an_expired_owner_harms_no_successor(bench: &Bench) {
    let former = bench.brief("a").await;
    bench.gone_within("a", bench.overdue(&former)).await;
    let options = bench.long().condition(Condition::Absent);
    let owner = bench.other.register(&bench.key("a"), bytes("new"), &options).await.expect("the name is free");
    assert!(owner.token().position() > former.token().position());
    let renewed = kind(bench.registry.renew(&former).await);
    assert!(matches!(renewed, ErrorKind::LeaseLost | ErrorKind::Conflict), "{renewed:?}");
    let updated = kind(bench.registry.update(&former, bytes("old")).await);
    assert!(matches!(updated, ErrorKind::LeaseLost | ErrorKind::Conflict), "{updated:?}");
    bench.registry.deregister(&former).await.expect("left alone");
    assert_eq!(bench.members().await["a"], bytes("new"));
    bench.other.renew(&owner).await.expect("undisturbed");
}
