//! Histories made by hand: for each rule, one that keeps it and one that breaks it.

mod build;
mod properties;
mod recipes;
mod registrations;
mod watches;

use build::{History, rules};
use cluster_control_faults::checker::Rule;

#[test]
fn an_empty_history_proves_nothing() {
    assert_eq!(rules(&History::new().lines), [Rule::O1]);
    assert_eq!(rules(&[]), [Rule::O1]);
}

#[test]
fn an_oracle_that_goes_back_is_none() {
    let history = History::new().put(5, "/d/a", 5, "1").put(4, "/d/b", 4, "1");
    assert_eq!(rules(&history.lines), [Rule::O1]);
}

#[test]
fn an_oracle_that_has_not_read_enough_is_none() {
    let history = History::new().watching("w", "/d").put(5, "/d/a", 5, "1").snapshot("w", 5, &[("a", 5, "1")]).told(
        "w",
        9,
        &[build::put("a", 5, "2")],
    );
    assert!(rules(&history.lines).contains(&Rule::O1));
}

#[test]
fn a_history_survives_its_file() {
    let history = History::new().watching("w", "/d").put(5, "/d/a", 5, "1").snapshot("w", 5, &[("a", 5, "1")]).quiet(5);
    for line in &history.lines {
        let text = serde_json::to_string(line).unwrap();
        assert_eq!(serde_json::from_str::<cluster_control_faults::history::Line>(&text).unwrap(), *line, "{text}");
    }
}
