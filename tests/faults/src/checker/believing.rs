//! Who believed in what, from when to when.

use std::collections::HashMap;

use crate::history::{Line, What};

/// A time in which somebody believed to have something.
#[derive(Clone, Debug)]
pub(super) struct Belief<'a> {
    pub(super) who: &'a str,
    /// The key, or the directory of the lock.
    pub(super) of: &'a str,
    pub(super) token: u64,
    pub(super) from: u64,
    /// The last moment at which it is known to have believed so.
    pub(super) last: u64,
    /// False: it ended before the history did.
    pub(super) open: bool,
    /// The line where it began.
    pub(super) begun: &'a Line,
}

/// All beliefs in entries (or in locks), by what they are about, each list in the order of time.
pub(super) fn beliefs(lines: &[Line], in_locks: bool) -> HashMap<&str, Vec<Belief<'_>>> {
    let end = lines.last().map_or(0, |line| line.at);
    let mut all: HashMap<&str, Vec<Belief<'_>>> = HashMap::new();
    for line in lines {
        if line.what == What::Crashed {
            for belief in all.values_mut().flatten().filter(|belief| belief.open && belief.who == line.who) {
                (belief.last, belief.open) = (line.at, false);
            }
            continue;
        }
        let (of, token, last) = match &line.what {
            What::Held { key, token } if !in_locks => (key, *token, None),
            What::Unheld { key, token, last, .. } if !in_locks => (key, *token, Some(*last)),
            What::Acquired { lock, token } if in_locks => (lock, *token, None),
            What::Dropped { lock, token, last } if in_locks => (lock, *token, Some(*last)),
            _ => continue,
        };
        let believed = all.entry(of).or_default();
        let open = believed.iter_mut().rev().find(|belief| belief.open && belief.who == line.who);
        match (open, last) {
            (Some(belief), Some(last)) if belief.token == token => (belief.last, belief.open) = (last, false),
            (_, Some(_)) => {}
            (open, None) => {
                if let Some(before) = open {
                    (before.last, before.open) = (line.at, false);
                }
                believed.push(Belief { who: &line.who, of, token, from: line.at, last: end, open: true, begun: line });
            }
        }
    }
    all
}

/// Pairs of beliefs in one thing, of different people, that overlap in time. Each belief is paired with the one before it
/// that lasted longest.
pub(super) fn overlaps<'a, 'b>(list: &'b [Belief<'a>]) -> Vec<(&'b Belief<'a>, &'b Belief<'a>)> {
    let (mut found, mut longest): (Vec<_>, Option<&Belief<'_>>) = (Vec::new(), None);
    for belief in list {
        if let Some(before) = longest.filter(|before| before.who != belief.who && before.last > belief.from) {
            found.push((before, belief));
        }
        if longest.is_none_or(|before| before.last < belief.last) {
            longest = Some(belief);
        }
    }
    found
}
