//! S1.

use super::{Rule, Verdict};
use crate::history::{Line, What};

/// So many attempts may come at once: a client may have several connections.
const AT_ONCE: u64 = 10;
/// And so many in each second.
const EACH_SECOND: u64 = 10;

pub(super) fn check(lines: &[Line], verdict: &mut Verdict) {
    for line in lines {
        if let What::Attempts { attempts, during } = line.what
            && attempts > AT_ONCE + EACH_SECOND * during.div_ceil(1_000_000)
        {
            verdict.add(Rule::S1, line, format!("tried to connect {attempts} times in {} ms", during / 1000));
        }
    }
}
