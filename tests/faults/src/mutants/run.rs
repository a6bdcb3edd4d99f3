//! One mutant, or one without a defect, on one schedule.

use std::path::Path;
use std::time::Duration;

use super::list::Subject;
use super::schedules::{Schedule, play};
use crate::Result;
use crate::checker::Verdict;
use crate::fire::World;
use crate::stores::Kind;

/// What came of it.
#[derive(Debug)]
pub struct Trial {
    /// What the checker says.
    pub verdict: Verdict,
}

/// Runs a subject on a store and a schedule.
///
/// # Errors
/// When the run itself went wrong.
pub async fn run(subject: Subject, on: Kind, schedule: Schedule, seed: u64, history: &Path) -> Result<Trial> {
    let mut world = World::start(on, &format!("{subject:?}: {schedule}"), seed, history).await?;
    play(&mut world, subject, schedule).await?;
    // Who has no defect is waited for; a broken one only for as long as it takes to see that it does not come.
    let patience = if subject.is_innocent() { Duration::from_mins(1) } else { Duration::from_secs(5) };
    let outcome = world.finish(on.ttl() * 2 + patience).await?;
    Ok(Trial { verdict: outcome.verdict })
}
