//! Many runs side by side.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::report::{Caught, Report, Spared};
use super::sweep::{Plan, run};
use crate::Result;
use crate::mutants::{self, MUTANTS, Mutant, Schedule, Subject, Trial, innocents};
use crate::stores::Kind;

/// A mutant that hides behind luck gets so many chances to be caught.
const TRIES: usize = 3;

/// Carries out plans, so many at a time. A run that itself goes wrong is told with its plan.
pub async fn sweeps(plans: Vec<Plan>, directory: &Path, side_by_side: usize) -> Vec<Result<Report, String>> {
    let places = Arc::new(Semaphore::new(side_by_side));
    let mut running = JoinSet::new();
    for plan in plans {
        let (places, file) = (Arc::clone(&places), directory.join(format!("{plan}.jsonl")));
        running.spawn(async move {
            let _place = places.acquire_owned().await;
            let report = run(plan, &file).await.map_err(|error| format!("{plan}: the run went wrong: {error}"));
            match &report {
                Ok(report) if report.is_good() => println!("held    {plan} ({} faults)", report.happened.len()),
                Ok(_) => println!("BROKEN  {plan}"),
                Err(error) => println!("FAILED  {error}"),
            }
            report
        });
    }
    let mut done = running.join_all().await;
    let at = |report: &Result<Report, String>| report.as_ref().ok().map(|report| report.plan.to_string());
    done.sort_by_key(at);
    done
}

/// Runs every mutant until it is caught, and every client without a defect once.
pub async fn all_mutants(
    seed: u64,
    directory: &Path,
    side_by_side: usize,
) -> (Vec<Result<Caught, String>>, Vec<Result<Spared, String>>) {
    let places = Arc::new(Semaphore::new(side_by_side));
    let (mut catching, mut sparing) = (JoinSet::new(), JoinSet::new());
    for (number, mutant) in MUTANTS.iter().enumerate() {
        let (its, file) = (Arc::clone(&places), directory.join(format!("mutant-{number}.jsonl")));
        catching.spawn(async move {
            let _place = its.acquire_owned().await;
            (number, catch(mutant, seed, file).await)
        });
    }
    for (number, (subject, on, schedule)) in innocents().into_iter().enumerate() {
        let (its, history) = (Arc::clone(&places), directory.join(format!("innocent-{number}.jsonl")));
        sparing.spawn(async move {
            let _place = its.acquire_owned().await;
            let trial = mutants::run(subject, on, schedule, seed, &history).await;
            (number, spare(trial, subject, on, schedule, history))
        });
    }
    let (mut caught, mut spared) = (catching.join_all().await, sparing.join_all().await);
    caught.sort_by_key(|(number, _)| *number);
    spared.sort_by_key(|(number, _)| *number);
    (caught.into_iter().map(|(_, one)| one).collect(), spared.into_iter().map(|(_, one)| one).collect())
}

async fn catch(mutant: &'static Mutant, seed: u64, history: PathBuf) -> Result<Caught, String> {
    let mut caught = Caught { mutant, tries: 0, named: Vec::new(), history };
    while caught.tries < TRIES && !caught.is_good() {
        caught.tries += 1;
        let Mutant { subject, on, schedule, .. } = *mutant;
        let trial = mutants::run(subject, on, schedule, seed + caught.tries as u64, &caught.history).await;
        let trial = trial.map_err(|error| format!("{:?}: the run went wrong: {error}", mutant.subject))?;
        caught.named = trial.verdict.rules();
    }
    let how = if caught.is_good() { "caught " } else { "MISSED " };
    println!("{how} {} on {}: named {:?}", mutant.says, mutant.on, caught.named);
    Ok(caught)
}

fn spare(
    trial: Result<Trial>,
    subject: Subject,
    on: Kind,
    schedule: Schedule,
    history: PathBuf,
) -> Result<Spared, String> {
    let trial = trial.map_err(|error| format!("{subject:?} on {on}: {schedule}: the run went wrong: {error}"))?;
    let spared = Spared { subject, on, schedule, verdict: trial.verdict, history };
    println!("{} {subject:?} on {on}: {schedule}", if spared.is_good() { "spared " } else { "ACCUSED" });
    Ok(spared)
}
