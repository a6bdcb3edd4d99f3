//! From what everybody did and saw, and the order in which the server says it happened, to the promises that were broken.
//!
//! A pure function: it can be run again over a history that was kept. The server gives a total order, so nothing is
//! searched; it takes O(n log n) for n events and entries of snapshots.

mod believing;
mod locks;
mod order;
mod pace;
mod parts;
mod registrations;
mod schedulers;
mod states;
mod watches;

use std::fmt;

use crate::history::{Line, Mode, What};
use order::Order;

/// What was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The oracle itself: its history is in order and complete. Without that nothing is proven.
    O1,
    /// A snapshot is the exact state at its index.
    W1,
    /// Between snapshots, every change is told in order, once, as it was.
    W2,
    /// The index never goes back.
    W3,
    /// In the end everybody has caught up, and what was folded is the truth.
    W4,
    /// Nothing outside of what was asked for is told.
    W5,
    /// Who believes in an entry has written it.
    R1,
    /// Who has lost an entry believes in it no longer than the notice allows.
    R2,
    /// In the end the entries that are wanted stand, and those that were given back are gone.
    R3,
    /// Nobody is refused because of itself.
    R4,
    /// A name has one owner: nobody takes over what is held, and no two believe in it at one time.
    U1,
    /// Fencing tokens grow with every holder.
    L1,
    /// The resource takes nothing from an older holder after a newer one.
    L2,
    /// No two hold an exclusive lock at one time.
    L3,
    /// Parts of one point of the history do not overlap.
    B1,
    /// In the end everybody has a part, and there is no hole.
    B2,
    /// A stable index has one holder at a time and stays with it.
    B3,
    /// The states of a scheduler are those of its newest leader, and no node is sent back.
    T1,
    /// Nobody tries to connect in haste.
    S1,
}

impl Rule {
    /// What is promised, in a few words.
    pub fn promise(self) -> &'static str {
        match self {
            Self::O1 => "the oracle is complete",
            Self::W1 => "a snapshot is the state at its index",
            Self::W2 => "every change in order, once",
            Self::W3 => "the index never goes back",
            Self::W4 => "everybody catches up",
            Self::W5 => "nothing from outside",
            Self::R1 => "who believes has written",
            Self::R2 => "never lost in silence",
            Self::R3 => "registered in the end",
            Self::R4 => "no conflict with itself",
            Self::U1 => "one owner",
            Self::L1 => "tokens grow",
            Self::L2 => "the old holder is fenced off",
            Self::L3 => "one holder at a time",
            Self::B1 => "parts do not overlap",
            Self::B2 => "no hole in the end",
            Self::B3 => "a stable index stays",
            Self::T1 => "states of the newest leader",
            Self::S1 => "no haste",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
    pub rule: Rule,
    /// To whom, or by whom.
    pub who: String,
    /// When it showed, in microseconds as in the history.
    pub at: u64,
    /// What was expected and what was seen.
    pub says: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}) {} at {}: {}", self.rule, self.rule.promise(), self.who, self.at, self.says)
    }
}

/// What was found, and how much was looked at: an empty history breaks no promise and proves nothing.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Sorted by rule, then time.
    pub violations: Vec<Violation>,
    /// Changes that the server says happened.
    pub changes: usize,
    /// Snapshots that were compared.
    pub snapshots: usize,
    /// Changes that watchers were told.
    pub told: usize,
    /// Times that somebody believed in an entry, a lock or a part.
    pub beliefs: usize,
}

impl Verdict {
    /// The rules that were broken, each once.
    pub fn rules(&self) -> Vec<Rule> {
        let mut rules: Vec<_> = self.violations.iter().map(|violation| violation.rule).collect();
        rules.dedup();
        rules
    }

    fn add(&mut self, rule: Rule, line: &Line, says: impl Into<String>) {
        self.violations.push(Violation { rule, who: line.who.clone(), at: line.at, says: says.into() });
    }
}

/// What the first line says of the whole.
#[derive(Clone, Copy, Debug)]
struct Terms {
    mode: Mode,
    compares: bool,
    notice: u64,
    overlap: u64,
    overlap_of_parts: u64,
}

/// Checks a history.
pub fn check(lines: &[Line]) -> Verdict {
    let mut verdict = Verdict::default();
    let terms = lines.iter().find_map(|line| match line.what {
        What::Begin { mode, compares, notice, overlap, overlap_of_parts, .. } => {
            Some(Terms { mode, compares, notice, overlap, overlap_of_parts })
        }
        _ => None,
    });
    let (Some(terms), Some(first)) = (terms, lines.first()) else {
        let says = "the history has no beginning".to_owned();
        verdict.violations.push(Violation { rule: Rule::O1, who: "oracle".to_owned(), at: 0, says });
        return verdict;
    };
    let order = Order::read(lines, &mut verdict);
    if order.is_empty() {
        verdict.add(Rule::O1, first, "nothing happened: this history proves nothing");
    }
    match terms.mode {
        Mode::Events => watches::check(lines, &order, terms, &mut verdict),
        Mode::States => states::check(lines, &order, &mut verdict),
    }
    registrations::check(lines, &order, terms, &mut verdict);
    locks::check(lines, terms, &mut verdict);
    parts::check(lines, terms, &mut verdict);
    schedulers::check(&order, &mut verdict);
    pace::check(lines, &mut verdict);
    verdict.violations.sort_by_key(|violation| (violation.rule, violation.at));
    verdict
}
