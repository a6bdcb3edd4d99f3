//! The whole report: as text, as JSON, and as tables in a document.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::document;
use super::machine::Machine;
use super::noise::Noise;
use super::samples::Interval;
use super::section::{Line, Section};
use crate::Result;

/// The lines between which a document's tables stand.
const BEGIN: &str = "<!-- the tables of `bench` begin -->";
const END: &str = "<!-- the tables of `bench` end -->";

/// Everything that one run has shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The version of the program.
    version: String,
    /// What was typed to get it.
    command: String,
    pub(crate) quick: bool,
    pub(crate) machine: Machine,
    pub(crate) sections: Vec<Section>,
}

impl Report {
    pub(crate) fn begin(quick: bool) -> Self {
        let arguments: Vec<_> = std::env::args().skip(1).collect();
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command: format!("bench {}", arguments.join(" ")),
            quick,
            machine: Machine::this(),
            sections: Vec::new(),
        }
    }

    pub(crate) fn conclude(&mut self, noise: &Noise, servers: Vec<String>) {
        self.machine.noise = Some(noise.heard());
        self.machine.servers = servers;
    }

    pub(crate) fn read(file: &Path) -> Result<Self> {
        let named = |error: String| format!("{}: {error}", file.display());
        let text = fs::read_to_string(file).map_err(|error| named(error.to_string()))?;
        Ok(serde_json::from_str(&text).map_err(|error| named(error.to_string()))?)
    }

    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        fs::write(file, serde_json::to_string_pretty(self)? + "\n")
            .map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(())
    }

    /// Puts the tables into a document, between its two marker lines; what stands around them stays.
    pub(crate) fn insert(&self, file: &Path) -> Result<()> {
        document::insert(file, (BEGIN, END), &self.markdown())
    }

    fn markdown(&self) -> String {
        let mut text = format!("`{}`, version {}\n\n", self.command, self.version);
        for line in self.machine.to_string().lines() {
            let _ = writeln!(text, "* {line}");
        }
        for section in &self.sections {
            text.push('\n');
            text.push_str(&section.markdown());
        }
        text
    }
}

const HEAD: [&str; 8] = ["what", "who", "median", "p99", "min", "max", "ratio to the floor", "ratio of p99"];

impl Section {
    /// For a terminal.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("== {}\n   wanted: {}\n", self.title, self.target);
        let rows: Vec<_> = std::iter::once(HEAD.map(str::to_owned)).chain(self.lines.iter().map(cells)).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let widths: [usize; HEAD.len()] = std::array::from_fn(width);
        for row in &rows {
            let padded = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            let _ = writeln!(text, "   {}", padded.collect::<Vec<_>>().join("  ").trim_end());
        }
        for note in &self.notes {
            let _ = writeln!(text, "   {note}");
        }
        text
    }

    fn markdown(&self) -> String {
        let mut text = format!("### {}\n\nWanted: {}\n\n", self.title, self.target);
        let _ = writeln!(text, "| {} |\n|{}", HEAD.join(" | "), "---|".repeat(HEAD.len()));
        for line in &self.lines {
            let _ = writeln!(text, "| {} |", cells(line).join(" | "));
        }
        for note in &self.notes {
            let _ = write!(text, "\n{note}\n");
        }
        text
    }
}

fn cells(line: &Line) -> [String; HEAD.len()] {
    let unit = line.unit.to_string();
    let case = if unit.is_empty() { line.case.clone() } else { format!("{}, {unit}", line.case) };
    let summary = &line.summary;
    let several = |value: f64| if summary.count > 1 { number(value) } else { String::new() };
    let verdict = match line.met {
        None => "",
        Some(true) => " (met)",
        Some(false) => " (NOT MET)",
    };
    let ratio = |interval: Option<Interval>| {
        interval.map_or(String::new(), |Interval { value, low, high }| format!("{value:.2} ({low:.2} to {high:.2})"))
    };
    let of_p99 = if summary.count > 1 { ratio(line.p99) } else { String::new() };
    [
        case,
        line.who.clone(),
        number(summary.median),
        several(summary.p99),
        several(summary.min),
        several(summary.max),
        format!("{}{verdict}", ratio(line.median)).trim_start().to_owned(),
        of_p99,
    ]
}

/// Three significant digits.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::{FLOOR, Limit, OURS, Samples, Unit};

    fn section(ours: f64) -> Section {
        let mut section = Section::new("Title", "little");
        let samples = |value| Samples::single([value; 3]);
        let all = [(FLOOR.to_owned(), samples(10.0)), (OURS.to_owned(), samples(ours))];
        section.case("etcd", Unit::Milliseconds, Limit::Ratio(1.3), all);
        section.note("A note.");
        section
    }

    #[test]
    fn a_table_says_what_is_met() {
        let text = section(12.0).text();
        assert!(text.contains("1.20 (1.20 to 1.20) (met)") && text.contains("A note."), "{text}");
        assert!(section(14.0).markdown().contains("| 1.40 (1.40 to 1.40) (NOT MET) |"));
    }

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("report.json");
        let mut report = Report::begin(true);
        report.sections.push(section(12.0));
        report.write(&file).unwrap();
        let read = Report::read(&file).unwrap();
        assert_eq!(read.sections[0].lines[1].median, report.sections[0].lines[1].median);
        std::fs::write(&file, "{").unwrap();
        assert!(Report::read(&file).unwrap_err().to_string().contains("report.json"));
    }

    #[test]
    fn numbers_have_three_digits() {
        assert_eq!([1234.5, 56.78, 3.456, 0.1234].map(number), ["1234", "56.8", "3.46", "0.123"]);
    }
}
