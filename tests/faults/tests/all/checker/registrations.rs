//! R1 to R4, U1 and S1.

use cluster_control_faults::checker::Rule;
use cluster_control_faults::history::{Mode, What};

use super::build::{History, rules};

fn registered() -> History {
    History::new().announcing("r", "/d/r").put(10, "/d/r", 10, "1").held("r", "/d/r", 10)
}

fn deregistering(history: History, who: &str) -> History {
    history.say(who, What::Deregistering { key: "/d/r".to_owned() })
}

#[test]
fn who_registers_and_gives_back_is_well_served() {
    let standing = registered().quiet(10);
    assert_eq!(rules(&standing.lines), []);
    let given_back = deregistering(registered().unheld("r", "/d/r", 10), "r").remove(11, "/d/r").quiet(11);
    assert_eq!(rules(&given_back.lines), []);
    let lost = registered()
        .unheld("r", "/d/r", 10)
        .remove(11, "/d/r")
        .put(12, "/d/r", 12, "1")
        .held("r", "/d/r", 12)
        .quiet(12);
    assert_eq!(rules(&lost.lines), []);
    // An update is no loss.
    let updated = registered().put(11, "/d/r", 10, "2").wait(40).quiet(11);
    assert_eq!(rules(&updated.lines), []);
}

#[test]
fn r1_who_believes_has_written() {
    let history =
        registered().unheld("r", "/d/r", 10).remove(11, "/d/r").held("r", "/d/r", 12).put(13, "/d/r", 13, "1");
    assert_eq!(rules(&history.lines), [Rule::R1]);
}

#[test]
fn r2_a_loss_is_noticed_within_the_notice() {
    let in_time = registered().remove(11, "/d/r").wait(18).unheld("r", "/d/r", 10);
    assert_eq!(rules(&in_time.lines), []);
    let late = registered().remove(11, "/d/r").wait(22).unheld("r", "/d/r", 10);
    assert_eq!(rules(&late.lines), [Rule::R2]);
    let never = registered().remove(11, "/d/r").wait(22);
    assert_eq!(rules(&never.lines), [Rule::R2]);
    // Somebody else's entry under the name is none of one's own.
    let replaced = registered().remove(11, "/d/r").put(12, "/d/r", 12, "other").wait(22);
    assert_eq!(rules(&replaced.lines), [Rule::R2]);
}

#[test]
fn r3_what_is_wanted_stands_in_the_end() {
    let gone = registered().unheld("r", "/d/r", 10).remove(11, "/d/r").quiet(11);
    assert_eq!(rules(&gone.lines), [Rule::R3]);
    let unknown = registered().unheld("r", "/d/r", 10).quiet(10);
    assert_eq!(rules(&unknown.lines), [Rule::R3], "it stands, and its owner does not know");
    let ghost = deregistering(registered().unheld("r", "/d/r", 10), "r").quiet(10);
    assert_eq!(rules(&ghost.lines), [Rule::R3], "nobody wants it, and it stands");
    let of_a_dead = registered().say("r", What::Crashed).quiet(10);
    assert_eq!(rules(&of_a_dead.lines), [Rule::R3], "its owner has died");
}

#[test]
fn r4_nobody_is_in_its_own_way() {
    let conflict = |history: History, who: &str| history.say(who, What::Conflict { key: "/d/r".to_owned() });
    assert_eq!(rules(&conflict(registered(), "r").lines), [Rule::R4]);
    assert_eq!(rules(&conflict(registered().announcing("s", "/d/r"), "s").lines), []);
    // An answer that was lost: the entry is its own, and it waits for its end instead of giving up.
    let unheard = registered().unheld("r", "/d/r", 10).remove(11, "/d/r").put(12, "/d/r", 12, "1");
    assert_eq!(rules(&conflict(unheard, "r").lines), [Rule::R4]);
    let left_behind = registered().say("r", What::LeftBehind { key: "/d/r".to_owned() });
    assert_eq!(rules(&conflict(left_behind, "r").lines), []);
    assert_eq!(rules(&conflict(registered().say("r", What::Crashed).announcing("r", "/d/r"), "r").lines), []);
}

#[test]
fn u1_no_two_believe_at_one_time() {
    let rivals = || registered().announcing("s", "/d/r");
    let after = rivals().unheld("r", "/d/r", 10).remove(11, "/d/r").put(12, "/d/r", 12, "s").held("s", "/d/r", 12);
    assert_eq!(rules(&after.lines), []);
    let before = rivals().remove(11, "/d/r").put(12, "/d/r", 12, "s").held("s", "/d/r", 12).unheld("r", "/d/r", 10);
    assert_eq!(rules(&before.lines), [Rule::U1]);
    // Who was robbed by an administrator has until the notice to know.
    let evicted = rivals()
        .say("world", What::Evicting { key: "/d/r".to_owned() })
        .remove(11, "/d/r")
        .put(12, "/d/r", 12, "s")
        .held("s", "/d/r", 12)
        .unheld("r", "/d/r", 10);
    assert_eq!(rules(&evicted.lines), []);
}

#[test]
fn u1_nobody_takes_what_somebody_has() {
    let history =
        registered().announcing("s", "/d/r").unheld("r", "/d/r", 10).put(12, "/d/r", 12, "s").held("s", "/d/r", 12);
    assert_eq!(rules(&history.lines), [Rule::U1]);
}

#[test]
fn in_states_a_loss_is_seen_by_the_witness() {
    let world =
        || History::of(Mode::States).announcing("r", "/d/r").state(10, &[("/d/r", 10, "1")]).held("r", "/d/r", 10);
    assert_eq!(rules(&world().quiet(10).lines), []);
    assert_eq!(rules(&world().state(11, &[]).wait(22).lines), [Rule::R2]);
    assert_eq!(rules(&world().state(11, &[]).unheld("r", "/d/r", 10).quiet(11).lines), [Rule::R3]);
}

#[test]
fn s1_nobody_is_in_haste() {
    let attempts = |attempts| registered().say("r", What::Attempts { attempts, during: 2_000_000 });
    assert_eq!(rules(&attempts(30).lines), []);
    assert_eq!(rules(&attempts(31).lines), [Rule::S1]);
}
