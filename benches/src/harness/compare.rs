//! Two reports beside each other: what has moved by more than the noise.

use std::fmt::Write as _;

use super::report::Report;
use super::samples::{Interval, Statistic};
use super::section::Line;

/// Intervals do not hold what changes from one start of the servers to the next; a ratio must move by this share as well.
const AT_LEAST: f64 = 0.1;

/// Says which ratios to the floor have moved. Absolute values are not compared: they belong to one run on one machine.
pub(crate) fn compare(before: &Report, now: &Report) -> String {
    let mut text = String::from("compared with the earlier report:\n");
    let (mut compared, mut moved) = (0, 0);
    for (title, line) in lines(now) {
        let earlier = lines(before).find(|(other, it)| *other == title && it.case == line.case && it.who == line.who);
        let Some((_, earlier)) = earlier else { continue };
        for statistic in [Statistic::Median, Statistic::P99] {
            let Some((was, is)) = ratio(earlier, statistic).zip(ratio(line, statistic)) else { continue };
            compared += 1;
            let Some(direction) = direction(was, is) else { continue };
            moved += 1;
            let (name, Line { case, who, .. }) = (if statistic == Statistic::P99 { " (p99)" } else { "" }, line);
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "  {direction}: {title}: {case}, {who}{name}: {:.2} ({:.2} to {:.2}), was {:.2} ({:.2} to {:.2})",
                is.value, is.low, is.high, was.value, was.low, was.high
            );
        }
    }
    let _ = writeln!(text, "  {moved} of {compared} ratios moved by more than the noise");
    text
}

fn lines(report: &Report) -> impl Iterator<Item = (&str, &Line)> {
    report.sections.iter().flat_map(|section| section.lines.iter().map(|line| (section.title.as_str(), line)))
}

fn ratio(line: &Line, statistic: Statistic) -> Option<Interval> {
    match statistic {
        Statistic::Median => line.median,
        Statistic::P99 => line.p99,
    }
}

fn direction(was: Interval, is: Interval) -> Option<&'static str> {
    if is.low > was.high && is.value > was.value * (1.0 + AT_LEAST) {
        return Some("higher");
    }
    (is.high < was.low && is.value < was.value * (1.0 - AT_LEAST)).then_some("lower")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::{FLOOR, Limit, Samples, Section, Unit};

    fn report(values: [f64; 3]) -> Report {
        let mut section = Section::new("Title", "");
        let ours = ("other".to_owned(), Samples::single(values));
        section.case("case", Unit::Bytes, Limit::None, [(FLOOR.to_owned(), Samples::single([1.0; 3])), ours]);
        let mut report = Report::begin(true);
        report.sections.push(section);
        report
    }

    #[test]
    fn what_moved_beyond_the_noise_is_named() {
        let base = report([2.0, 2.1, 1.9]);
        let same = compare(&base, &report([2.0, 2.2, 1.9]));
        assert!(same.ends_with("0 of 2 ratios moved by more than the noise\n"), "{same}");
        let worse = compare(&base, &report([3.0, 3.1, 2.9]));
        assert!(worse.contains("higher: Title: case, other: 3.00") && worse.contains("2 of 2"), "{worse}");
        let better = compare(&base, &report([1.0, 1.1, 1.0]));
        assert!(better.contains("lower: "), "{better}");
    }

    /// Without any noise in either run, a hundredth would count as a change.
    #[test]
    fn a_small_step_is_none() {
        let text = compare(&report([2.0; 3]), &report([2.1; 3]));
        assert!(text.contains("0 of 2"), "{text}");
    }

    #[test]
    fn what_lies_within_the_noise_of_either_is_none() {
        let text = compare(&report([1.0, 2.0, 3.0]), &report([1.5, 2.5, 3.5]));
        assert!(text.contains("0 of 2"), "{text}");
    }

    #[test]
    fn what_is_in_one_report_only_is_not_compared() {
        let mut other = report([9.0; 3]);
        other.sections[0].title = "Other".into();
        assert!(compare(&report([2.0; 3]), &other).contains("0 of 0"));
    }
}
