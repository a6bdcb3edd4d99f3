//! W1 to W5.

use cluster_control_faults::checker::Rule;
use cluster_control_faults::history::{Change, Mode, What};

use super::build::{History, put, remove, rules};

/// Five changes in the directory, one beside it, and a watcher that begins after the first two.
fn world() -> History {
    History::new()
        .put(10, "/d/a", 10, "1")
        .put(11, "/d/b", 11, "1")
        .watching("w", "/d")
        .snapshot("w", 11, &[("a", 10, "1"), ("b", 11, "1")])
        .put(12, "/d/a", 10, "2")
        .put(13, "/dd/x", 13, "1")
        .remove(14, "/d/b")
        .put(15, "/d/b", 15, "2")
}

#[test]
fn who_is_told_everything_is_well_served() {
    let each = world()
        .told("w", 12, &[put("a", 10, "2")])
        .told("w", 14, &[remove("b")])
        .told("w", 15, &[put("b", 15, "2")])
        .quiet(15);
    assert_eq!(rules(&each.lines), []);
    let at_once = world().told("w", 15, &[put("a", 10, "2"), remove("b"), put("b", 15, "2")]).quiet(15);
    assert_eq!(rules(&at_once.lines), []);
    let again = world().snapshot("w", 15, &[("a", 10, "2"), ("b", 15, "2")]).quiet(15);
    assert_eq!(rules(&again.lines), []);
}

#[test]
fn w1_a_snapshot_is_the_state_at_its_index() {
    for entries in [
        // A ghost, a hole, an old value, another incarnation, an entry from beside it.
        &[("a", 10, "2"), ("b", 15, "2"), ("c", 9, "1")][..],
        &[("a", 10, "2")],
        &[("a", 10, "1"), ("b", 15, "2")],
        &[("a", 10, "2"), ("b", 11, "2")],
        &[("a", 10, "2"), ("b", 15, "2"), ("x", 13, "1")],
    ] {
        let history = world().snapshot("w", 15, entries);
        assert_eq!(rules(&history.lines), [Rule::W1], "{entries:?}");
    }
}

#[test]
fn w1_pages_of_two_revisions_are_no_state() {
    // `a` as it was later, `b` as it was before.
    let history = world().snapshot("w", 14, &[("a", 10, "2"), ("b", 11, "1")]);
    assert_eq!(rules(&history.lines), [Rule::W1]);
}

#[test]
fn w2_a_change_is_neither_left_out_nor_repeated_nor_moved() {
    for changes in [
        &[remove("b"), put("b", 15, "2")][..],
        &[put("a", 10, "2"), put("b", 15, "2")],
        &[put("a", 10, "2"), put("a", 10, "2"), remove("b"), put("b", 15, "2")],
        &[put("a", 10, "2"), put("b", 15, "2"), remove("b")],
        &[],
    ] {
        let history = world().told("w", 15, changes);
        assert_eq!(rules(&history.lines), [Rule::W2], "{changes:?}");
    }
}

#[test]
fn w2_nothing_is_missed_before_going_on() {
    let history = world().say("w", What::Resumed { index: 14 });
    assert_eq!(rules(&history.lines), [Rule::W2], "12 and 14 were never told");
    let history = world().told("w", 14, &[put("a", 10, "2"), remove("b")]).say("w", What::Resumed { index: 14 });
    assert_eq!(rules(&history.lines), []);
}

#[test]
fn w2_a_comparison_of_lists_tells_exactly_the_difference() {
    let told = |changes: &[Change]| rules(&world().comparing().told("w", 15, changes).lines);
    // In the order of names; `b` went and came back, which a list does not show as two.
    assert_eq!(told(&[put("a", 10, "2"), put("b", 15, "2")]), []);
    assert_eq!(told(&[put("b", 15, "2"), put("a", 10, "2")]), []);
    for changes in [
        &[put("a", 10, "2")][..],
        &[put("b", 15, "2")],
        &[put("a", 10, "1"), put("b", 15, "2"), put("a", 10, "2")],
        &[put("a", 10, "2"), put("b", 15, "2"), put("b", 15, "2")],
        &[],
    ] {
        assert_eq!(told(changes), [Rule::W2], "{changes:?}");
    }
}

#[test]
fn w3_the_index_never_goes_back() {
    let history = world().told("w", 15, &[put("a", 10, "2"), remove("b"), put("b", 15, "2")]).snapshot(
        "w",
        12,
        &[("a", 10, "2"), ("b", 11, "1")],
    );
    assert_eq!(rules(&history.lines), [Rule::W3]);
}

#[test]
fn w4_everybody_catches_up() {
    let late = world().told("w", 12, &[put("a", 10, "2")]).quiet(15);
    assert_eq!(rules(&late.lines), [Rule::W4]);
    let deaf = History::new().put(10, "/d/a", 10, "1").watching("w", "/d").quiet(10);
    assert_eq!(rules(&deaf.lines), [Rule::W4]);
    // What happens after everybody had the time to catch up is not owed yet.
    let soon = world().told("w", 14, &[put("a", 10, "2"), remove("b")]).quiet(14);
    assert_eq!(rules(&soon.lines), []);
}

#[test]
fn w5_nothing_from_outside_is_told() {
    let history = world().told("w", 13, &[put("a", 10, "2"), put("x", 13, "1")]);
    assert_eq!(rules(&history.lines), [Rule::W5]);
}

#[test]
fn states_agree_with_the_witness_at_the_same_index() {
    let world = || {
        History::of(Mode::States)
            .watching("w", "/d")
            .state(10, &[("/d/a", 10, "1"), ("/dd/x", 9, "1")])
            .snapshot("w", 10, &[("a", 10, "1")])
            .state(14, &[("/d/a", 10, "2")])
    };
    // What came and went between two looks is nobody's right to see.
    let good = world().told("w", 12, &[put("b", 12, "1")]).told("w", 14, &[remove("b"), put("a", 10, "2")]).quiet(14);
    assert_eq!(rules(&good.lines), []);
    let wrong = world().told("w", 14, &[put("a", 10, "3")]).told("w", 15, &[put("a", 10, "2")]).quiet(14);
    assert_eq!(rules(&wrong.lines), [Rule::W1]);
    let late = world().quiet(14);
    assert_eq!(rules(&late.lines), [Rule::W4]);
    let back = world().told("w", 14, &[put("a", 10, "2")]).snapshot("w", 13, &[("a", 10, "2")]).quiet(14);
    assert_eq!(rules(&back.lines), [Rule::W3]);
}

#[test]
fn w2_of_states_what_lasts_is_told_and_what_is_skipped_leads_nobody_astray() {
    let world = || {
        History::of(Mode::States)
            .watching("w", "/d")
            .state(10, &[("/d/a", 10, "1"), ("/d/b", 9, "1")])
            .snapshot("w", 10, &[("a", 10, "1"), ("b", 9, "1")])
            .state(20, &[("/d/a", 10, "1"), ("/d/b", 9, "2"), ("/d/c", 18, "1")])
            .state(30, &[("/d/a", 10, "1"), ("/d/c", 18, "1")])
    };
    let told = |index, changes: &[Change]| rules(&world().told("w", index, changes).lines);
    let seen = [put("b", 9, "2"), put("c", 18, "1")];
    assert_eq!(told(18, &seen), []);
    // Between two looks nobody but the server knows: it may have been updated, come, or gone and come again.
    assert_eq!(told(15, &[put("b", 9, "x"), put("d", 11, "1"), remove("d")]), []);
    assert_eq!(told(15, &[remove("b"), put("b", 12, "x")]), []);
    // At the end nobody looked afterwards.
    assert_eq!(told(31, &[remove("a"), remove("b"), put("c", 18, "1")]), []);
    // What lasts was skipped, or has another value.
    assert_eq!(told(25, &[put("b", 9, "2")]), [Rule::W2], "`c` stood from 20 to 30");
    assert_eq!(told(15, &[remove("a")]), [Rule::W2]);
    assert_eq!(told(15, &[put("a", 10, "x")]), [Rule::W2]);
    // What is gone is still shown.
    assert_eq!(told(31, &[put("c", 18, "1")]), [Rule::W2], "`b` was gone at 30");
    // Nobody ever saw it.
    assert_eq!(told(25, &[put("b", 9, "2"), put("c", 18, "1"), put("d", 5, "1")]), [Rule::W5]);
}
