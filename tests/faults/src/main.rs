//! `faults`: sets fire to the registry, and says what held.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use cluster_control_faults::runs::{
    Cast, Caught, Plan, Report, Spared, all_mutants, faults_table, mutants_table, runs_table, sweeps,
};
use cluster_control_faults::stores::Kind;
use cluster_control_faults::subjects::{Part, Role, play};
use cluster_control_faults::{Result, checker, history};

/// The seed of the bounded selection.
const SEED: u64 = 20_261_121;
/// How long one round of a soak lasts.
const ROUND: Duration = Duration::from_mins(2);
/// How many mutants run at a time.
const MUTANTS_SIDE_BY_SIDE: usize = 6;

/// Real servers and clients while everything fails, and a checker of what they promise.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The bounded selection: every fault once on every store it applies to, and every mutant.
    Run {
        /// What the order of the faults is made of.
        #[arg(long, default_value_t = SEED)]
        seed: u64,
        /// Only stores whose name begins like this, such as `etcd` or `sqlite`.
        #[arg(long)]
        on: Option<String>,
        /// Only the mutants.
        #[arg(long)]
        mutants: bool,
        /// Every fault four times instead of once.
        #[arg(long)]
        all: bool,
        /// How many runs at a time.
        #[arg(long, default_value_t = 12)]
        side_by_side: usize,
    },
    /// A random schedule for some time.
    Soak {
        /// How long, such as `90s`, `10m` or `2h`.
        #[arg(long, value_parser = duration)]
        time: Duration,
        /// What it is made of; drawn, and printed, when not given.
        #[arg(long)]
        seed: Option<u64>,
        /// Only stores whose name begins like this.
        #[arg(long)]
        on: Option<String>,
        /// How many runs at a time.
        #[arg(long, default_value_t = 10)]
        side_by_side: usize,
    },
    /// One client as a process of its own; for runs.
    #[command(hide = true)]
    Client {
        #[arg(long)]
        store: Kind,
        #[arg(long)]
        endpoint: String,
        #[arg(long)]
        name: String,
        #[arg(long)]
        role: Role,
        #[arg(long)]
        history: PathBuf,
    },
    /// Checks histories that were kept.
    Check {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

fn main() -> ExitCode {
    match begin(Arguments::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("faults: {error}");
            ExitCode::from(2)
        }
    }
}

fn begin(command: Command) -> Result<bool> {
    let runtime = tokio::runtime::Runtime::new()?;
    match command {
        Command::Client { store, endpoint, name, role, history } => {
            play(Part { kind: store, endpoint, name, role, history }).map(|()| true)
        }
        Command::Check { files } => check(&files),
        Command::Run { seed, on, mutants, all, side_by_side } => {
            let kinds = stores(on.as_deref())?;
            let rounds = if all { 4 } else { 1 };
            let plans = if mutants { Vec::new() } else { plans(&kinds, seed, None, rounds) };
            let with_mutants = on.is_none();
            runtime.block_on(bounded(plans, with_mutants, seed, side_by_side))
        }
        Command::Soak { time, seed, on, side_by_side } => {
            let kinds = stores(on.as_deref())?;
            let seed = seed.unwrap_or_else(|| fastrand::u64(1..1_000_000_000));
            println!("seed {seed}");
            runtime.block_on(soak(&kinds, time, seed, side_by_side))
        }
    }
}

/// Both casts on each store, and on a cluster those who keep for long what they have. What takes longest comes first.
fn plans(kinds: &[Kind], seed: u64, time: Option<Duration>, rounds: usize) -> Vec<Plan> {
    let casts = |kind: &Kind| {
        let kind = *kind;
        let casts = if kind.is_cluster() { vec![Cast::Keepers] } else { vec![Cast::Registry, Cast::Recipes] };
        casts.into_iter().map(move |cast| Plan { kind, cast, seed, time, rounds })
    };
    kinds.iter().rev().flat_map(casts).collect()
}

fn stores(on: Option<&str>) -> Result<Vec<Kind>> {
    let is_meant = |kind: &Kind| on.is_none_or(|on| kind.to_string().replace(' ', "-").starts_with(on));
    let kinds: Vec<_> = Kind::ALL.into_iter().filter(is_meant).collect();
    if kinds.is_empty() {
        let known = Kind::ALL.map(|kind| kind.to_string().replace(' ', "-")).join(", ");
        return Err(format!("no store is called {:?}; there are {known}", on.unwrap_or_default()).into());
    }
    Ok(kinds)
}

async fn bounded(plans: Vec<Plan>, with_mutants: bool, seed: u64, side_by_side: usize) -> Result<bool> {
    let begun = Instant::now();
    let directory = directory(seed)?;
    let mutants = async {
        if with_mutants { all_mutants(seed, &directory, MUTANTS_SIDE_BY_SIDE).await } else { Default::default() }
    };
    let (reports, (caught, spared)) = tokio::join!(sweeps(plans, &directory, side_by_side), mutants);
    let mut wrong = Vec::new();
    let (reports, caught, spared) = (sort(reports, &mut wrong), sort(caught, &mut wrong), sort(spared, &mut wrong));
    conclude(seed, begun, &reports, &caught, &spared, wrong)
}

/// One round after the other, each with stores and a seed of its own, so that no history becomes too long.
async fn soak(kinds: &[Kind], time: Duration, seed: u64, side_by_side: usize) -> Result<bool> {
    let begun = Instant::now();
    let directory = directory(seed)?;
    let (mut reports, mut wrong) = (Vec::new(), Vec::new());
    for round in 0.. {
        let left = time.saturating_sub(begun.elapsed());
        if left.is_zero() {
            break;
        }
        let plans = plans(kinds, seed + round, Some(left.min(ROUND)), 1);
        for report in sort(sweeps(plans, &directory, side_by_side).await, &mut wrong) {
            if report.is_good() {
                // Only what can be learnt from is kept.
                fs::remove_file(&report.history)?;
            }
            reports.push(report);
        }
    }
    conclude(seed, begun, &reports, &[], &[], wrong)
}

fn directory(seed: u64) -> Result<PathBuf> {
    let directory = Path::new("target/faults").join(seed.to_string());
    fs::create_dir_all(&directory)?;
    Ok(directory)
}

/// Prints the tables and what went wrong; the last line counts.
fn conclude(
    seed: u64,
    begun: Instant,
    reports: &[Report],
    caught: &[Caught],
    spared: &[Spared],
    mut wrong: Vec<String>,
) -> Result<bool> {
    let table = tables(reports, caught);
    println!("\n{table}");
    fs::write("target/faults/table.md", &table)?;
    wrong.extend(complaints(reports, caught, spared));
    for complaint in &wrong {
        println!("{complaint}\n");
    }
    let failed = wrong.len();
    let passed = reports.iter().filter(|it| it.is_good()).count()
        + caught.iter().filter(|it| it.is_good()).count()
        + spared.iter().filter(|it| it.is_good()).count();
    println!("seed {seed}, {} s, histories in target/faults/{seed}", begun.elapsed().as_secs());
    println!("{passed} passed, {failed} failed");
    Ok(failed == 0)
}

fn sort<T>(results: Vec<Result<T, String>>, wrong: &mut Vec<String>) -> Vec<T> {
    let mut good = Vec::new();
    for result in results {
        match result {
            Ok(one) => good.push(one),
            Err(error) => wrong.push(format!("FAILED {error}")),
        }
    }
    good
}

fn tables(reports: &[Report], caught: &[Caught]) -> String {
    let mut tables = Vec::new();
    if !reports.is_empty() {
        tables.push(faults_table(reports));
        tables.push(runs_table(reports));
    }
    if !caught.is_empty() {
        tables.push(mutants_table(caught));
    }
    tables.join("\n")
}

/// What went wrong, and how to look at it again.
fn complaints(reports: &[Report], caught: &[Caught], spared: &[Spared]) -> Vec<String> {
    let again = |history: &Path| format!("look again: target/debug/faults check '{}'", history.display());
    let broken = reports.iter().filter(|it| !it.is_good()).map(|it| {
        let lines: Vec<_> = it.outcome.verdict.violations.iter().take(20).map(|line| format!("  {line}")).collect();
        format!("BROKEN {} ({})\n{}\n  {}", it.plan, it.outcome.server, lines.join("\n"), again(&it.history))
    });
    let missed = caught.iter().filter(|it| !it.is_good()).map(|it| {
        let mutant = it.mutant;
        format!("MISSED {} on {}: {} was not named\n  {}", mutant.says, mutant.on, mutant.rule, again(&it.history))
    });
    let accused = spared.iter().filter(|it| !it.is_good()).map(|it| {
        let Spared { subject, on, schedule, verdict, history } = it;
        let lines: Vec<_> = verdict.violations.iter().take(20).map(|line| format!("  {line}")).collect();
        format!("ACCUSED {subject:?} on {on}: {schedule}\n{}\n  {}", lines.join("\n"), again(history))
    });
    broken.chain(missed).chain(accused).collect()
}

fn check(files: &[PathBuf]) -> Result<bool> {
    let mut broken = 0;
    for file in files {
        let verdict = checker::check(&history::read(file)?);
        let checker::Verdict { violations, changes, snapshots, told, beliefs } = &verdict;
        println!("{}: {changes} changes, {told} told, {snapshots} snapshots, {beliefs} beliefs", file.display());
        for violation in violations {
            println!("  {violation}");
        }
        broken += usize::from(!violations.is_empty());
    }
    println!("{} passed, {broken} failed", files.len() - broken);
    Ok(broken == 0)
}

fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let number: u64 = number.parse().map_err(|_| format!("{text:?} is no time: write 90s, 10m or 2h"))?;
    match unit {
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_mins(number)),
        "h" => Ok(Duration::from_hours(number)),
        _ => Err(format!("{text:?} is no time: write 90s, 10m or 2h")),
    }
}
