//! What a member knows of the whole.

use std::ops::Range;

use registry_core::{Error, Index, Result};

use super::member::MAX_WORKERS;

/// A member's part of the whole, all of it taken from one point of the registry's history.
///
/// The members that look at the same [`index`](Self::index) have parts that do not overlap. Without stable slots they also
/// cover `0..total` without a hole. While a change travels, members look at different points, so a part is *usually* the
/// member's alone: work that must never be done twice needs a lock or a transaction as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// The index of the first worker; `None` (-1 in libcluster) when this process has no part: it only observes, or its
    /// entry is not certain to stand any more.
    pub base: Option<u64>,
    /// How many workers have an index, beginning with `base`: what the registry holds, which an administrator may have
    /// changed. 0 without a base.
    pub workers: u64,
    /// How many indices there are in all.
    pub total: u64,
    /// The point of the history at which this was the truth.
    pub index: Index,
}

impl Share {
    /// The indices of this member's workers; empty without a base.
    pub fn range(&self) -> Range<u64> {
        self.base.map_or(0..0, |base| base..base + self.workers)
    }

    /// True when both say the same about the work, at whatever point of the history.
    pub fn agrees_with(&self, other: &Self) -> bool {
        (self.base, self.workers, self.total) == (other.base, other.workers, other.total)
    }

    /// The same whole, without a part in it.
    pub(super) fn without_part(self) -> Self {
        Self { base: None, workers: 0, ..self }
    }

    /// A part that never changes.
    pub(super) fn fixed(base: u64, workers: u64, total: u64) -> Result<Self> {
        if !(1..=MAX_WORKERS).contains(&workers) {
            return Err(Error::invalid_input(format!(
                "{workers} workers are not possible; allowed are 1 to {MAX_WORKERS}"
            )));
        }
        if base.checked_add(workers).is_none_or(|end| end > total) {
            return Err(Error::invalid_input(format!(
                "{workers} workers from index {base} on do not fit into a total of {total}"
            )));
        }
        Ok(Self { base: Some(base), workers, total, index: Index::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_part_fits_into_the_whole() {
        assert_eq!(Share::fixed(3, 4, 7).unwrap().range(), 3..7);
        assert_eq!(Share::fixed(3, 4, 7).unwrap().without_part().range(), 0..0);
        for (base, workers, total) in
            [(4, 4, 7), (0, 0, 7), (u64::MAX, 1, 7), (0, MAX_WORKERS + 1, u64::MAX), (7, 1, 7)]
        {
            assert!(Share::fixed(base, workers, total).is_err(), "{base} {workers} {total}");
        }
    }
}
