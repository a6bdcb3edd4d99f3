//! Changes that go together, for they are asked for at the same time.

use std::collections::BTreeSet;
use std::path::Path;

use futures_util::future::join_all;
use registry_core::{Bytes, Condition, ErrorKind, Registry};
use registry_sqlite::{Config, connect};

use crate::{key, list, long};

const NAMES: usize = 50;

/// More than one round of them, and each name four times.
pub(crate) async fn each_of_many_at_once_has_its_own_answer(place: &Path) {
    let registry = connect(Config::new(place.join("registry.db"))).expect("the store opens");
    let before = list(&registry).await.index;
    let absent = long().condition(Condition::Absent);
    let register = |number: usize| {
        let (registry, key) = (registry.clone(), key(&format!("m{}", number % NAMES)));
        async move { registry.register(&key, Bytes::from(number.to_string()), &absent).await }
    };
    let (mut leases, mut refused) = (Vec::new(), 0);
    for (number, answer) in join_all((0..4 * NAMES).map(register)).await.into_iter().enumerate() {
        match answer {
            Ok(lease) => leases.push((number, lease)),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
                refused += 1;
            }
        }
    }
    assert_eq!((leases.len(), refused), (NAMES, 3 * NAMES));
    let shown = list(&registry).await;
    assert_eq!(shown.entries.len(), NAMES);
    for (number, lease) in &leases {
        let entry = shown.entries.iter().find(|entry| entry.index == lease.token()).expect("it is shown");
        assert_eq!(entry.value, number.to_string(), "another one was told that it has the name");
    }
    let tokens: BTreeSet<_> = leases.iter().map(|(_, lease)| lease.token().position()).collect();
    let all: BTreeSet<_> = (before.position() + 1..=shown.index.position()).collect();
    assert_eq!(tokens, all, "each has a place of its own in the history");
    for answer in join_all(leases.iter().map(|(_, lease)| registry.renew(lease))).await {
        answer.expect("it is held");
    }
}

pub(crate) async fn what_one_takes_away_is_there_for_the_next(place: &Path) {
    let registry = connect(Config::new(place.join("registry.db"))).expect("the store opens");
    let absent = long().condition(Condition::Absent);
    let (a, nobody) = (key("a"), key("nobody"));
    let lease = registry.register(&a, Bytes::new(), &absent).await.expect("registered");
    // In this order, for the calls are made in turn.
    let (gone, again, removed, late, listed) = tokio::join!(
        registry.deregister(&lease),
        registry.register(&a, Bytes::from("b"), &absent),
        registry.remove(&nobody),
        registry.renew(&lease),
        list(&registry),
    );
    gone.expect("it was held");
    let again = again.expect("the name was free");
    assert!(!removed.expect("asked"), "there was nothing");
    assert_eq!(late.expect_err("it is another's").kind(), ErrorKind::Conflict);
    assert_eq!(listed.entries.iter().map(|entry| entry.index).collect::<Vec<_>>(), [again.token()]);
    assert_eq!(listed.index.position(), lease.token().position() + 2);
}
