//! Registering, listing and removing.

use std::time::Duration;

use super::Bench;
use super::support::{bytes, kind};
use crate::error::ErrorKind;
use crate::name::{Dir, Scope};
use crate::options::{Condition, RegisterOptions};

pub(super) async fn a_list_is_sorted_and_complete(bench: &Bench) {
    let names = ["b", "a", "node10", "node2", "Z-1", "m", "10.0.0.9:3306", "[fe80::1]:80", "A"];
    for name in names {
        bench.put(name, name).await;
    }
    let snapshot = bench.snapshot().await;
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    assert_eq!(snapshot.entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), sorted);
    for entry in &snapshot.entries {
        assert_eq!(entry.value, bytes(entry.name.as_str()));
        assert!(entry.index.position() <= snapshot.index.position(), "{entry:?} is newer than {:?}", snapshot.index);
    }
}

pub(super) async fn a_value_comes_back_byte_for_byte(bench: &Bench) {
    let values = ["", "0", "a b", "line\nline", "100% &=?#+/\\\"'", "ümläut ✓", "{\"a\":[1,null]}"];
    for (number, value) in values.iter().enumerate() {
        bench.put(&format!("v{number}"), value).await;
    }
    let largest = bench.able().value_max;
    bench.put("large", &"x".repeat(largest)).await;
    let members = bench.members().await;
    for (number, value) in values.iter().enumerate() {
        assert_eq!(members[&format!("v{number}")], bytes(value));
    }
    assert_eq!(members["large"].len(), largest);
    // A backend that cannot keep every byte refuses it; it never changes it.
    let raw = bytes::Bytes::from_static(b"\xff\xfe\x00");
    match bench.registry.register(&bench.key("raw"), raw.clone(), &bench.long()).await {
        Ok(_) => assert_eq!(bench.members().await["raw"], raw),
        Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}"),
    }
}

pub(super) async fn a_prefix_matches_whole_segments(bench: &Bench) {
    let neighbour = Dir::new(&format!("{}b", bench.dir)).expect("valid");
    bench.put("mine", "v").await;
    let theirs = neighbour.key("theirs").expect("valid");
    bench.other.register(&theirs, bytes("v"), &bench.long()).await.expect("registered");
    assert_eq!(bench.names().await, ["mine"]);
    let alone = bench.registry.list(&Scope::from(bench.key("min"))).await.expect("listed");
    assert_eq!(alone.entries, [], "`min` is not the beginning of `mine`");
}

pub(super) async fn a_directory_of_other_case_is_another(bench: &Bench) {
    let (parent, last) = bench.dir.as_str().rsplit_once('/').expect("a directory below another");
    let capital = Dir::new(&format!("{parent}/{}", last.to_uppercase())).expect("valid");
    let mixed = Dir::new(&format!("{parent}/A{}", &last[1..])).expect("valid");
    bench.put("mine", "v").await;
    let theirs = capital.key("theirs").expect("valid");
    bench.other.register(&theirs, bytes("v"), &bench.long()).await.expect("registered");
    assert_eq!(bench.names().await, ["mine"]);
    for (dir, expected) in [(capital, vec!["theirs"]), (mixed, vec![])] {
        let listed = bench.registry.list(&Scope::from(&dir)).await.expect("listed");
        let names: Vec<_> = listed.entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, expected, "{dir}");
    }
    let elsewhere = Scope::from(theirs.dir().key("mine").expect("valid"));
    assert_eq!(bench.registry.list(&elsewhere).await.expect("listed").entries, []);
}

pub(super) async fn a_nested_name_holds_a_slash(bench: &Bench) {
    bench.put("flat", "1").await;
    bench.put("deep/er/down", "2").await;
    assert_eq!(bench.names().await, ["deep/er/down", "flat"]);
    let snapshot = bench.snapshot().await;
    assert!(snapshot.entries[0].name.is_nested() && !snapshot.entries[1].name.is_nested());
}

pub(super) async fn an_entry_is_listed_alone(bench: &Bench) {
    bench.put("one", "1").await;
    bench.put("one-more", "2").await;
    let snapshot = bench.registry.list(&Scope::from(bench.key("one"))).await.expect("listed");
    let found: Vec<_> = snapshot.entries.iter().map(|entry| (entry.name.as_str(), &entry.value[..])).collect();
    assert_eq!(found, [("one", &b"1"[..])]);
}

pub(super) async fn absent_refuses_a_name_that_is_held(bench: &Bench) {
    bench.put_if("lock", Condition::Absent).await.expect("the name is free");
    assert_eq!(kind(bench.put_if("lock", Condition::Absent).await), ErrorKind::Conflict);
    let other = bench.other.register(&bench.key("lock"), bytes("x"), &bench.long().condition(Condition::Absent)).await;
    assert_eq!(kind(other), ErrorKind::Conflict);
    assert_eq!(bench.members().await["lock"], bytes("v"));
}

pub(super) async fn absent_lets_one_of_many_win(bench: &Bench) {
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..8 {
        let registry = if number % 2 == 0 { &bench.registry } else { &bench.other };
        let (registry, key) = (registry.clone(), bench.key("lock"));
        let options = bench.long().condition(Condition::Absent);
        tasks.spawn(async move { registry.register(&key, bytes(&number.to_string()), &options).await });
    }
    let results = tasks.join_all().await;
    let won = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(won, 1, "{results:?}");
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    }
}

pub(super) async fn present_needs_somebody(bench: &Bench) {
    assert_eq!(kind(bench.put_if("heart", Condition::Present).await), ErrorKind::Conflict);
    assert_eq!(bench.names().await, [""; 0]);
    bench.put("heart", "0").await;
    bench.put_if("heart", Condition::Present).await.expect("somebody is there");
    assert_eq!(bench.members().await["heart"], bytes("v"));
}

pub(super) async fn any_takes_over_and_the_former_owner_is_told(bench: &Bench) {
    taken_over(bench, Condition::Any).await;
}

pub(super) async fn present_takes_over_and_the_former_owner_is_told(bench: &Bench) {
    taken_over(bench, Condition::Present).await;
}

/// The former owner finds out, and can neither renew, nor write, nor remove.
async fn taken_over(bench: &Bench, condition: Condition) {
    let key = bench.key("name");
    let former = bench.put("name", "former").await;
    let owner = bench.registry.register(&key, bytes("owner"), &bench.long().condition(condition)).await.expect("taken");
    assert!(owner.token().position() > former.token().position(), "{owner:?} is not after {former:?}");
    assert_eq!(kind(bench.other.renew(&former).await), ErrorKind::Conflict);
    assert_eq!(kind(bench.other.update(&former, bytes("stolen")).await), ErrorKind::Conflict);
    bench.other.deregister(&former).await.expect("what is not mine is left alone");
    assert_eq!(bench.members().await["name"], bytes("owner"));
    bench.registry.renew(&owner).await.expect("the owner is not disturbed");
    let owner = bench.registry.update(&owner, bytes("still")).await.expect("the owner is not disturbed");
    bench.registry.deregister(&owner).await.expect("released");
    assert_eq!(bench.names().await, [""; 0]);
}

pub(super) async fn a_token_grows_with_every_owner(bench: &Bench) {
    let mut last = 0;
    for round in 0..4 {
        let lease = bench.put("lock", "v").await;
        assert!(lease.token().position() > last, "round {round}: {} is not after {last}", lease.token());
        last = lease.token().position();
        if round % 2 == 0 {
            bench.other.deregister(&lease).await.expect("released");
        }
    }
}

pub(super) async fn remove_says_whether_it_was_there(bench: &Bench) {
    bench.put("a", "v").await;
    bench.put("ab", "v").await;
    assert!(bench.registry.remove(&bench.key("a")).await.expect("removed"));
    assert!(!bench.registry.remove(&bench.key("a")).await.expect("it was gone"));
    assert_eq!(bench.names().await, ["ab"]);
}

pub(super) async fn a_value_too_large_is_refused(bench: &Bench) {
    let large = bytes(&"x".repeat(2 * 1024 * 1024));
    let error = bench.registry.register(&bench.key("a"), large.clone(), &bench.long()).await.expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(
        error.to_string().contains(&bench.able().value_max.to_string()) && error.to_string().len() < 1000,
        "{error}"
    );
    let lease = bench.registry.register(&bench.key("a"), bytes("v"), &bench.long()).await.expect("registered");
    assert_eq!(kind(bench.registry.update(&lease, large).await), ErrorKind::InvalidInput);
    assert_eq!(bench.members().await["a"], bytes("v"));
}

pub(super) async fn a_time_to_live_out_of_range_is_refused(bench: &Bench) {
    let able = bench.able();
    for ttl in [Duration::ZERO, able.ttl_min / 2, able.ttl_max * 2] {
        let options = RegisterOptions::new().ttl(ttl);
        let error = bench.registry.register(&bench.key("a"), bytes("v"), &options).await.expect_err("out of range");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
        assert!(error.to_string().contains(&format!("{:?}", able.ttl_min)), "it does not name the range: {error}");
    }
    assert_eq!(bench.names().await, [""; 0]);
}

pub(super) async fn a_thousand_entries_are_listed(bench: &Bench) {
    let mut tasks = tokio::task::JoinSet::new();
    for lane in 0..8 {
        let (registry, dir, options) = (bench.other.clone(), bench.dir.clone(), bench.long());
        tasks.spawn(async move {
            for number in (lane..1000).step_by(8) {
                let key = dir.key(&format!("n{number:04}")).expect("valid");
                registry.register(&key, bytes("v"), &options).await.expect("registered");
            }
        });
    }
    tasks.join_all().await;
    let names = bench.names().await;
    assert_eq!(names.len(), 1000);
    assert_eq!((names[0].as_str(), names[999].as_str()), ("n0000", "n0999"));
}
