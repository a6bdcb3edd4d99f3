//! What runs have shown, as tables.

use std::fmt::Write;
use std::path::PathBuf;

use super::Plan;
use crate::checker::{Rule, Verdict};
use crate::fire::{Fault, Outcome};
use crate::mutants::{Mutant, Schedule, Subject};
use crate::stores::Kind;

/// One run and what came of it.
#[derive(Debug)]
pub struct Report {
    /// What was to happen.
    pub plan: Plan,
    /// What did.
    pub happened: Vec<Fault>,
    /// What the checker says.
    pub outcome: Outcome,
    /// Where it is written down.
    pub history: PathBuf,
}

/// What became of one mutant.
#[derive(Debug)]
pub struct Caught {
    /// Which one.
    pub mutant: &'static Mutant,
    /// How often it was tried before it was caught, or given up.
    pub tries: usize,
    /// The rules that the checker named, the last time.
    pub named: Vec<Rule>,
    /// Where that is written down.
    pub history: PathBuf,
}

/// What became of a client without a defect.
#[derive(Debug)]
pub struct Spared {
    /// Which one.
    pub subject: Subject,
    /// On which store.
    pub on: Kind,
    /// On which schedule.
    pub schedule: Schedule,
    /// What the checker says: there must be no violation.
    pub verdict: Verdict,
    /// Where that is written down.
    pub history: PathBuf,
}

impl Spared {
    /// True when nothing was said against it.
    pub fn is_good(&self) -> bool {
        self.verdict.violations.is_empty()
    }
}

impl Caught {
    /// True when the checker named the rule that it had to.
    pub fn is_good(&self) -> bool {
        self.named.contains(&self.mutant.rule)
    }
}

impl Report {
    /// True when no promise was broken.
    pub fn is_good(&self) -> bool {
        self.outcome.verdict.violations.is_empty()
    }
}

/// A table of faults: one row for each, with how often it happened on each store and what came of it.
pub fn faults_table(reports: &[Report]) -> String {
    let kinds: Vec<_> = Kind::ALL.into_iter().filter(|kind| reports.iter().any(|run| run.plan.kind == *kind)).collect();
    let names: Vec<_> = kinds.iter().map(Kind::to_string).collect();
    let mut table = format!("| fault | {} |\n|---{}|\n", names.join(" | "), "|---".repeat(kinds.len()));
    for fault in Fault::ALL {
        let cells: Vec<_> = kinds.iter().map(|kind| cell(reports, *kind, fault)).collect();
        let _ = writeln!(table, "| {fault} | {} |", cells.join(" | "));
    }
    table
}

fn cell(reports: &[Report], kind: Kind, fault: Fault) -> String {
    let runs: Vec<_> = reports.iter().filter(|run| run.plan.kind == kind && run.happened.contains(&fault)).collect();
    let times: usize = runs.iter().map(|run| run.happened.iter().filter(|it| **it == fault).count()).sum();
    let mut broken: Vec<_> = runs.iter().flat_map(|run| run.outcome.verdict.rules()).collect();
    broken.sort_unstable();
    broken.dedup();
    match (times, broken.is_empty()) {
        (0, _) => "–".to_owned(),
        (_, true) => format!("{times} held"),
        (_, false) => format!("{times} **broken: {}**", words(&broken)),
    }
}

/// How much was looked at, run by run.
pub fn runs_table(reports: &[Report]) -> String {
    let mut table = String::from(
        "| store | clients | faults | checked | changes of the server | changes told | snapshots | beliefs | result | seed |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for run in reports {
        let (plan, verdict) = (run.plan, &run.outcome.verdict);
        let result = if run.is_good() { "held".to_owned() } else { format!("**broken: {}**", words(&verdict.rules())) };
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {result} | {} |",
            plan.kind,
            plan.cast,
            run.happened.len(),
            plan.cast.checked(plan.kind),
            verdict.changes,
            verdict.told,
            verdict.snapshots,
            verdict.beliefs,
            plan.seed
        );
    }
    table
}

/// A table of mutants.
pub fn mutants_table(caught: &[Caught]) -> String {
    let mut table = String::from(
        "| client | defect | store | schedule | must be named | named | tries |\n|---|---|---|---|---|---|---|\n",
    );
    for one in caught {
        let Mutant { subject, says, on, schedule, rule } = one.mutant;
        let named = if one.is_good() { words(&one.named) } else { format!("**missed** ({})", words(&one.named)) };
        let client = match subject {
            Subject::Watcher(_) => "watcher",
            Subject::Registrar(_) => "registrar",
            Subject::Contender(_) => "lock holder",
            Subject::Member(_) => "member of a partition",
        };
        let promise = rule.promise();
        let _ =
            writeln!(table, "| {client} | {says} | {on} | {schedule} | {rule} ({promise}) | {named} | {} |", one.tries);
    }
    table
}

fn words(rules: &[Rule]) -> String {
    rules.iter().map(Rule::to_string).collect::<Vec<_>>().join(" ")
}
