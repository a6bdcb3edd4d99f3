//! L1 to L3 and B1 to B3.

use cluster_control_faults::checker::Rule;
use cluster_control_faults::history::What;

use super::build::{History, STEP, rules};

fn world() -> History {
    History::new().put(1, "/marks/oracle", 1, "1")
}

fn acquired(history: History, who: &str, token: u64) -> History {
    history.say(who, What::Acquired { lock: "/l".to_owned(), token })
}

fn dropped(history: History, who: &str, token: u64) -> History {
    let last = history.now() - 1;
    history.say(who, What::Dropped { lock: "/l".to_owned(), token, last })
}

fn wrote(history: History, who: &str, token: u64, accepted: bool) -> History {
    history.say(who, What::Wrote { lock: "/l".to_owned(), token, accepted })
}

#[test]
fn one_holder_after_the_other_is_well() {
    let first = dropped(wrote(acquired(world(), "a", 5), "a", 5, true), "a", 5);
    let then = wrote(wrote(acquired(first, "b", 7), "b", 7, true), "a", 5, false);
    assert_eq!(rules(&then.lines), []);
}

#[test]
fn l1_tokens_grow() {
    for token in [5, 4] {
        let history = acquired(dropped(acquired(world(), "a", 5), "a", 5), "b", token);
        assert_eq!(rules(&history.lines), [Rule::L1], "{token}");
    }
}

#[test]
fn l2_the_resource_takes_nothing_from_an_older_holder() {
    let both = acquired(dropped(acquired(world(), "a", 5), "a", 5), "b", 7);
    let history = wrote(wrote(both, "b", 7, true), "a", 5, true);
    assert_eq!(rules(&history.lines), [Rule::L2]);
}

#[test]
fn l3_no_two_hold_it_at_one_time() {
    let both = acquired(acquired(world(), "a", 5), "b", 7);
    assert_eq!(rules(&dropped(both, "a", 5).lines), [Rule::L3]);
    // Who was frozen says late that he had it, and truly says until when.
    let frozen = acquired(world(), "a", 5);
    let last = frozen.now() - 1;
    let frozen = acquired(frozen, "b", 7).say("a", What::Dropped { lock: "/l".to_owned(), token: 5, last });
    assert_eq!(rules(&frozen.lines), []);
    // Who died has it no more.
    let died = acquired(acquired(world(), "a", 5).say("a", What::Crashed), "b", 7);
    assert_eq!(rules(&died.lines), []);
}

fn part(history: History, who: &str, stable: bool, index: u64, base: u64, workers: u64, total: u64) -> History {
    history.say(who, What::Part { partition: "/p".to_owned(), stable, index, base, workers, total })
}

fn no_part(history: History, who: &str) -> History {
    let last = history.now() - 1;
    history.say(who, What::NoPart { partition: "/p".to_owned(), last })
}

#[test]
fn parts_that_fit_are_well() {
    let both = part(part(world(), "a", false, 5, 0, 2, 3), "b", false, 5, 2, 1, 3);
    assert_eq!(rules(&both.clone().quiet(1).lines), []);
    let one_left = no_part(both, "b").say("b", What::Deregistering { key: "/p".to_owned() });
    assert_eq!(rules(&part(one_left, "a", false, 6, 0, 2, 2).quiet(1).lines), []);
    let stable = part(part(world(), "a", true, 5, 0, 2, 4), "b", true, 5, 3, 1, 4);
    assert_eq!(rules(&stable.quiet(1).lines), [], "a hole between stable indices is allowed");
}

#[test]
fn b1_parts_of_one_point_do_not_overlap() {
    let history = part(part(world(), "a", false, 5, 0, 2, 3), "b", false, 5, 1, 2, 3);
    assert_eq!(rules(&history.lines), [Rule::B1]);
    let history = part(part(world(), "a", false, 5, 0, 2, 3), "b", false, 5, 2, 1, 4);
    assert_eq!(rules(&history.lines), [Rule::B1], "they do not agree on the whole");
    let history = part(part(world(), "a", false, 5, 0, 2, 3), "b", false, 6, 1, 2, 3);
    assert_eq!(rules(&history.lines), [], "while a change travels they look at different points");
}

#[test]
fn b2_in_the_end_there_is_no_hole() {
    let hole = part(part(world(), "a", false, 5, 0, 2, 4), "b", false, 6, 3, 1, 4).quiet(1);
    assert_eq!(rules(&hole.lines), [Rule::B2]);
    let without = no_part(part(part(world(), "a", false, 5, 0, 2, 3), "b", false, 5, 2, 1, 3), "b").quiet(1);
    assert_eq!(rules(&without.lines), [Rule::B2]);
    let too_many = part(world(), "a", false, 5, 0, 2, 3).quiet(1);
    assert_eq!(rules(&too_many.lines), [Rule::B2]);
}

#[test]
fn b3_a_stable_index_has_one_holder_and_stays() {
    let both = part(part(world(), "a", true, 5, 0, 2, 2), "b", true, 6, 1, 1, 2);
    assert_eq!(rules(&both.wait(1).lines), [Rule::B3]);
    let after = part(no_part(part(world(), "a", true, 5, 0, 2, 2), "a"), "b", true, 6, 1, 1, 2);
    assert_eq!(rules(&after.lines), []);
    let moved = part(part(world(), "a", true, 5, 0, 2, 4), "a", true, 6, 2, 2, 4);
    assert_eq!(rules(&moved.lines), [Rule::B3]);
    let grown = part(part(world(), "a", true, 5, 0, 2, 2), "a", true, 6, 0, 2, 4);
    assert_eq!(rules(&grown.lines), [], "the whole may grow");
}

/// A server that ends leases of living owners lets a second one in; the first one has to hear of it soon.
#[test]
fn two_may_hold_one_thing_only_for_as_long_as_the_store_says() {
    let both = |long| {
        let history = acquired(acquired(world().overlapping(long), "a", 5), "b", 7).wait(2);
        dropped(history, "a", 5)
    };
    assert_eq!(rules(&both(5 * STEP).lines), []);
    assert_eq!(rules(&both(2 * STEP).lines), [Rule::L3]);
    let parts = |long| {
        let both = part(part(world().overlapping(long), "a", true, 5, 0, 2, 2), "b", true, 6, 1, 1, 2);
        no_part(both.wait(2), "a")
    };
    assert_eq!(rules(&parts(5 * STEP).lines), []);
    assert_eq!(rules(&parts(2 * STEP).lines), [Rule::B3]);
}

/// A state of this node, written by the leader with this token.
fn state(history: History, position: u64, node: &str, created: u64, token: u64, state: &str) -> History {
    let value = format!(r#"{{"sessionID":"{node}","ipAddress":"h","state":"{state}","token":"1@{token}"}}"#);
    history.put(position, &format!("/n/states/{node}"), created, &value)
}

#[test]
fn t1_the_states_are_those_of_the_newest_leader() {
    let two = state(state(world(), 10, "a", 10, 9, "new"), 11, "b", 11, 9, "new");
    let taken_over = state(state(two.clone(), 21, "a", 21, 20, "new"), 22, "b", 22, 20, "clustered");
    assert_eq!(rules(&taken_over.clone().quiet(22).lines), []);
    assert_eq!(rules(&state(two.clone(), 21, "a", 21, 20, "new").quiet(21).lines), [Rule::T1], "b is left behind");
    let older = state(state(two.clone(), 21, "a", 21, 20, "new"), 22, "a", 21, 9, "new");
    assert_eq!(rules(&older.lines), [Rule::T1], "the server has let an older leader write");
    let late = state(taken_over.clone(), 23, "a", 23, 9, "new");
    assert_eq!(rules(&late.clone().quiet(23).lines), [Rule::T1], "a late first write stays");
    assert_eq!(rules(&state(late, 24, "a", 24, 20, "new").quiet(24).lines), [], "it is put right");
    let reset = state(taken_over.clone(), 23, "b", 22, 20, "new");
    assert_eq!(rules(&reset.lines), [Rule::T1], "a node was sent back");
    let foreign = taken_over.put(23, "/n/states/a", 21, "?").put(24, "/n/other/a", 24, "{}");
    assert_eq!(rules(&foreign.lines), [], "what is none of ours says nothing");
}
