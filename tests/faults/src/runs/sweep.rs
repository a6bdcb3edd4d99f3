//! A run: a cast, and faults one after the other.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::inhabitants::{Cast, Stage};
use super::report::Report;
use crate::Result;
use crate::fire::{Fault, World};
use crate::stores::Kind;

/// What is to happen.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// To which store.
    pub kind: Kind,
    /// To whom.
    pub cast: Cast,
    /// What the order of the faults, who suffers and for how long are made of.
    pub seed: u64,
    /// How long faults are drawn; without it, each fault that applies happens so often.
    pub time: Option<Duration>,
    /// So often.
    pub rounds: usize,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, cast, seed, .. } = self;
        write!(f, "{}-{cast}-{seed}", kind.to_string().replace(' ', "-"))
    }
}

/// Carries a plan out, and checks what everybody wrote down.
///
/// # Errors
/// When the run itself went wrong: that is no result.
pub(super) async fn run(plan: Plan, history: &Path) -> Result<Report> {
    let Plan { kind, cast, seed, time, rounds } = plan;
    let mut world = World::start(kind, &cast.to_string(), seed, history).await?;
    let mut stage = Stage::set(&mut world, cast).await?;
    world.drain().await?;
    let mut faults: Vec<_> = Fault::ALL.into_iter().filter(|fault| fault.applies_to(kind)).collect();
    if cast == Cast::Recipes {
        // What is about the history of one directory, and is tried by the other cast.
        faults.retain(|fault| !matches!(fault, Fault::Burst | Fault::Evicted | Fault::Compacted));
    }
    let (begun, mut happened) = (Instant::now(), Vec::new());
    match time {
        None => {
            let mut faults: Vec<_> = std::iter::repeat_n(faults, rounds).flatten().collect();
            if kind.is_cluster() {
                // What is about leases that are alive does not happen each time.
                faults.extend([Fault::LeaderFrozen; 2]);
            }
            world.random.shuffle(&mut faults);
            // There is no way back from a newer version, and what went before was about the older one.
            faults.sort_by_key(|fault| *fault == Fault::Upgraded);
            let mut upgraded = false;
            faults.retain(|fault| *fault != Fault::Upgraded || !std::mem::replace(&mut upgraded, true));
            for fault in faults {
                happen(&mut world, &mut stage, fault).await?;
                happened.push(fault);
            }
        }
        Some(time) => {
            while begun.elapsed() < time {
                let fault = faults[world.random.usize(..faults.len())];
                if world.random.u8(..3) == 0 {
                    world.lay();
                }
                happen(&mut world, &mut stage, fault).await?;
                happened.push(fault);
            }
        }
    }
    let limit = kind.ghost() + Duration::from_secs(30);
    let outcome = world.finish(limit).await?;
    Ok(Report { plan, happened, outcome, history: history.to_owned() })
}

async fn happen(world: &mut World, stage: &mut Stage, fault: Fault) -> Result<()> {
    if fault == Fault::ClientKilled {
        stage.replace(world).await?;
    } else {
        let (dir, names) = (stage.dir.clone(), stage.names.clone());
        world.suffer(fault, &dir, &names).await?;
    }
    sleep(Duration::from_millis(world.random.u64(200..1500))).await;
    Ok(())
}
