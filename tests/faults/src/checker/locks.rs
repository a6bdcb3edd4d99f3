//! L1 to L3.

use std::collections::HashMap;

use super::believing::{Belief, beliefs, overlaps};
use super::{Rule, Terms, Verdict};
use crate::history::{Line, What};

pub(super) fn check(lines: &[Line], terms: Terms, verdict: &mut Verdict) {
    let (mut granted, mut written): (HashMap<&str, u64>, HashMap<&str, u64>) = (HashMap::new(), HashMap::new());
    for line in lines {
        match &line.what {
            What::Acquired { lock, token } => {
                let before = granted.insert(lock, *token);
                if let Some(before) = before.filter(|before| before >= token) {
                    verdict.add(Rule::L1, line, format!("the token {token} of {lock} comes after {before}"));
                }
            }
            What::Wrote { lock, token, accepted: true } => {
                let largest = written.entry(lock).or_default();
                if *token < *largest {
                    let says = format!("{lock}: a write of {token} was taken after one of {largest}");
                    verdict.add(Rule::L2, line, says);
                }
                *largest = (*largest).max(*token);
            }
            _ => {}
        }
    }
    for (lock, list) in beliefs(lines, true) {
        verdict.beliefs += list.len();
        let is_long = |(before, belief): &(&Belief<'_>, &Belief<'_>)| before.last - belief.from > terms.overlap;
        for (before, belief) in overlaps(&list).into_iter().filter(is_long) {
            let says = format!(
                "has {lock} ({}) while {} has it ({}), for {} ms",
                belief.token,
                before.who,
                before.token,
                (before.last - belief.from) / 1000
            );
            verdict.add(Rule::L3, belief.begun, says);
        }
    }
}
