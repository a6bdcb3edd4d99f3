//! L1 to L3 and B1 to B3.

use cluster_control_faults::checker::Rule;
use cluster_control_faults::history::What;

use super::build::{History, rules};

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
