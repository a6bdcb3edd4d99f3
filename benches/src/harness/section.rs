//! What one row of the report says.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::samples::{Interval, Samples, Statistic, Summary};

/// The contestant that all others are compared with.
pub(crate) const FLOOR: &str = "floor";
/// The floor that keeps the promises which cost something by themselves.
pub(crate) const FLOOR_WITH_PROMISES: &str = "floor with the promises";
/// The contestant that has to meet the limits.
pub(crate) const OURS: &str = "cluster-control";

/// A row: a target, and what was measured for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Section {
    pub(crate) title: String,
    /// What is wanted, in words.
    pub(crate) target: String,
    pub(crate) lines: Vec<Line>,
    /// What a reader must know beside the numbers.
    pub(crate) notes: Vec<String>,
}

/// One contestant's numbers in one case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    /// What was measured and where, such as `etcd v3, fsync`. The same for all contestants.
    pub(crate) case: String,
    pub(crate) who: String,
    pub(crate) unit: Unit,
    pub(crate) summary: Summary,
    pub(crate) median: Option<Interval>,
    pub(crate) p99: Option<Interval>,
    /// Whether the limit is kept; `None` where none is set.
    pub(crate) met: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Unit {
    Milliseconds,
    Microseconds,
    Bytes,
    Mebibytes,
    Percent,
    PerSecond,
    Count,
}

/// What is wanted of [`OURS`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Limit {
    None,
    /// The median at most so many times that of the floor.
    Ratio(f64),
    /// The median and p99.
    Ratios(f64),
    /// The median at least so many times that of the floor.
    #[cfg_attr(not(test), allow(dead_code, reason = "for rows in which more is better"))]
    AtLeastRatio(f64),
    /// The median itself.
    AtMost(f64),
}

impl Section {
    pub(crate) fn new(title: impl Into<String>, target: impl Into<String>) -> Self {
        Self { title: title.into(), target: target.into(), lines: Vec::new(), notes: Vec::new() }
    }

    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// One case: what every contestant showed, the floor among them where there is one.
    pub(crate) fn case(
        &mut self,
        case: impl Into<String>,
        unit: Unit,
        limit: Limit,
        all: impl IntoIterator<Item = (String, Samples)>,
    ) {
        let case = case.into();
        let all: Vec<_> = all.into_iter().collect();
        let floor = all.iter().find(|(who, _)| who == FLOOR).map(|(_, samples)| samples.clone());
        for (who, samples) in all {
            let compared = floor.as_ref().filter(|_| who != FLOOR);
            let ratio = |statistic| compared.and_then(|floor| samples.ratio(floor, statistic));
            let (summary, median, p99) = (samples.summary(), ratio(Statistic::Median), ratio(Statistic::P99));
            let met = if who == OURS { limit.met(&summary, median, p99) } else { None };
            self.lines.push(Line { case: case.clone(), who, unit, summary, median, p99, met });
        }
    }

    /// One value of one contestant.
    pub(crate) fn value(&mut self, case: impl Into<String>, unit: Unit, limit: Limit, who: &str, value: f64) {
        let mut samples = Samples::default();
        samples.push(vec![value]);
        self.case(case, unit, limit, [(who.to_owned(), samples)]);
    }
}

impl Limit {
    fn met(self, summary: &Summary, median: Option<Interval>, p99: Option<Interval>) -> Option<bool> {
        match self {
            Self::None => None,
            Self::Ratio(most) => median.map(|ratio| ratio.value <= most),
            Self::Ratios(most) => median.zip(p99).map(|(median, p99)| median.value <= most && p99.value <= most),
            Self::AtLeastRatio(least) => median.map(|ratio| ratio.value >= least),
            Self::AtMost(most) => Some(summary.median <= most),
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Milliseconds => "ms",
            Self::Microseconds => "µs",
            Self::Bytes => "B",
            Self::Mebibytes => "MiB",
            Self::Percent => "%",
            Self::PerSecond => "/s",
            Self::Count => "",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(ours: f64, limit: Limit) -> Vec<Option<bool>> {
        let mut section = Section::new("", "");
        let samples = |value| Samples::single([value; 3]);
        section.case("", Unit::Bytes, limit, [(FLOOR.into(), samples(10.0)), (OURS.into(), samples(ours))]);
        section.lines.iter().map(|line| line.met).collect()
    }

    #[test]
    fn limits_are_for_ours_alone() {
        assert_eq!(both(13.0, Limit::Ratio(1.3)), [None, Some(true)]);
        assert_eq!(both(13.1, Limit::Ratio(1.3)), [None, Some(false)]);
        assert_eq!(both(13.1, Limit::Ratios(1.3)), [None, Some(false)]);
        assert_eq!(both(9.0, Limit::AtLeastRatio(0.9)), [None, Some(true)]);
        assert_eq!(both(8.9, Limit::AtLeastRatio(0.9)), [None, Some(false)]);
        assert_eq!(both(5.0, Limit::AtMost(5.0)), [None, Some(true)]);
        assert_eq!(both(5.1, Limit::AtMost(5.0)), [None, Some(false)]);
        assert_eq!(both(5.1, Limit::None), [None, None]);
    }

    #[test]
    fn a_limit_that_cannot_be_judged_is_not_kept() {
        let mut section = Section::new("", "");
        section.case("", Unit::Bytes, Limit::Ratio(1.3), [(OURS.into(), Samples::single([1.0]))]);
        assert_eq!(section.lines[0].met, None);
    }
}
