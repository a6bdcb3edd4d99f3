//! B1 to B3.

use std::collections::{BTreeMap, HashMap};

use super::{Rule, Terms, Verdict};
use crate::history::{Line, What};

/// A part that somebody had for a while.
#[derive(Clone, Copy, Debug)]
struct Part<'a> {
    line: &'a Line,
    stable: bool,
    index: u64,
    base: u64,
    workers: u64,
    total: u64,
    last: u64,
    open: bool,
}

impl Part<'_> {
    fn overlaps(&self, other: &Self) -> bool {
        self.base < other.base + other.workers && other.base < self.base + self.workers
    }

    fn says(&self) -> String {
        format!("{}..{} of {} (at {})", self.base, self.base + self.workers, self.total, self.index)
    }
}

pub(super) fn check(lines: &[Line], terms: Terms, verdict: &mut Verdict) {
    let mut partitions: BTreeMap<&str, Vec<Part<'_>>> = BTreeMap::new();
    let mut members: BTreeMap<(&str, &str), bool> = BTreeMap::new();
    let mut quiet = None;
    let end = lines.last().map_or(0, |line| line.at);
    for line in lines {
        match &line.what {
            What::Part { partition, stable, index, base, workers, total } => {
                let list = partitions.entry(partition).or_default();
                members.insert((partition, &line.who), true);
                let part = Part {
                    line,
                    stable: *stable,
                    index: *index,
                    base: *base,
                    workers: *workers,
                    total: *total,
                    last: end,
                    open: true,
                };
                if let Some(before) = open(list, &line.who) {
                    (before.last, before.open) = (line.at, false);
                    if *stable && (before.base, before.workers) != (*base, *workers) {
                        let says = format!("moved from {} to {} without a loss", before.says(), part.says());
                        verdict.add(Rule::B3, line, says);
                    }
                }
                list.push(part);
            }
            What::NoPart { partition, last } => {
                let list = partitions.entry(partition).or_default();
                if let Some(before) = open(list, &line.who) {
                    (before.last, before.open) = (*last, false);
                }
            }
            What::Crashed => {
                for part in partitions.values_mut().flatten().filter(|part| part.open && part.line.who == line.who) {
                    (part.last, part.open) = (line.at, false);
                }
                for ((_, who), here) in &mut members {
                    *here &= *who != line.who;
                }
            }
            What::Deregistering { key } => {
                if let Some(here) = members.get_mut(&(key.as_str(), line.who.as_str())) {
                    *here = false;
                }
            }
            What::Quiet { .. } => quiet = Some(line),
            _ => {}
        }
    }
    for (partition, list) in &partitions {
        verdict.beliefs += list.len();
        at_one_point(list, verdict);
        at_one_time(list, terms.overlap_of_parts, verdict);
        if let Some(quiet) = quiet {
            let here = |(of, who): &(&str, &str), here: bool| (*of == *partition && here).then(|| (*who).to_owned());
            let here = members.iter().filter_map(|(member, is_here)| here(member, *is_here)).collect::<Vec<_>>();
            in_the_end(partition, list, &here, quiet, verdict);
        }
    }
}

fn open<'a, 'b>(list: &'b mut [Part<'a>], who: &str) -> Option<&'b mut Part<'a>> {
    list.iter_mut().rev().find(|part| part.open && part.line.who == who)
}

/// B1: of one point of the history.
fn at_one_point(list: &[Part<'_>], verdict: &mut Verdict) {
    let mut by_index: HashMap<u64, Vec<&Part<'_>>> = HashMap::new();
    for part in list {
        let same = by_index.entry(part.index).or_default();
        for other in same.iter().filter(|other| other.line.who != part.line.who) {
            if part.overlaps(other) || part.total != other.total {
                let says = format!("has {}, and {} has {}", part.says(), other.line.who, other.says());
                verdict.add(Rule::B1, part.line, says);
            }
        }
        same.push(part);
    }
}

/// B3: a stable index has one holder at a time.
fn at_one_time(list: &[Part<'_>], overlap: u64, verdict: &mut Verdict) {
    // Those that may still last when the next one begins: few, for every member has one.
    let mut lasting: Vec<&Part<'_>> = Vec::new();
    for part in list.iter().filter(|part| part.stable) {
        lasting.retain(|other| other.last > part.line.at + overlap);
        for other in lasting.iter().filter(|other| other.line.who != part.line.who && part.overlaps(other)) {
            let says = format!("has {} while {} has {}", part.says(), other.line.who, other.says());
            verdict.add(Rule::B3, part.line, says);
        }
        lasting.push(part);
    }
}

/// B2: everybody who is there has a part; without stable slots there is no hole.
fn in_the_end(partition: &str, list: &[Part<'_>], here: &[String], quiet: &Line, verdict: &mut Verdict) {
    let believing = |part: &&Part<'_>| part.line.at <= quiet.at && (part.open || part.last >= quiet.at);
    let mut parts: Vec<_> = list.iter().filter(believing).collect();
    for who in here {
        if !parts.iter().any(|part| part.line.who == *who) {
            verdict.add(Rule::B2, &Line { who: who.clone(), ..quiet.clone() }, format!("has no part of {partition}"));
        }
    }
    parts.sort_by_key(|part| part.base);
    let mut next = 0;
    for part in &parts {
        if part.base < next || (!part.stable && part.base > next) {
            let says = format!("{partition}: {} begins where {next} was due", part.says());
            verdict.add(Rule::B2, part.line, says);
        }
        next = part.base + part.workers;
    }
    if let Some(part) = parts.iter().find(|part| part.total != next) {
        verdict.add(Rule::B2, part.line, format!("{partition}: {} and the parts end at {next}", part.says()));
    }
}
