//! `partition`: which part of the numbered work is this instance's, as data or as a command that does it.

mod arguments;
mod job;

use std::time::Duration;

use processes::Status;
use registry::{Error, ErrorKind, Registry, Scope};
use registry_recipes::partition::{Cluster, Member, Partition, Share};
use tokio::time::{Instant, sleep_until, timeout};

pub(crate) use arguments::{HELP, PartitionArguments};
use job::Job;

use crate::arguments::Global;
use crate::aside::aside;
use crate::connecting::Session;
use crate::exit::{EVICTED, OK, Outcome, TERMINATED, code_of};
use crate::output::print_line_aside;
use crate::patience::patiently;
use crate::signals::Termination;

const PATIENCE: Duration = Duration::from_mins(1);
/// A registry that cannot be reached must not hold the end up.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);

pub(crate) async fn run(global: Global, arguments: PartitionArguments) -> Outcome {
    let job = Job::new(&arguments, &global)?;
    let mut termination = Termination::listen()?;
    let Some(part) = join(global, &arguments, &mut termination).await? else {
        return Ok(if job.is_some() { TERMINATED } else { OK });
    };
    match job {
        Some(job) => work(part, job, termination).await,
        None => tell(part, termination).await,
    }
}

/// Takes part as the arguments say. What is wrong with them is said before any registry is asked. `None` when a signal came
/// before that; nothing is left in the registry then, nor when it took too long.
async fn join(
    global: Global,
    arguments: &PartitionArguments,
    termination: &mut Termination,
) -> Outcome<Option<Partition>> {
    if let (Some(base), Some(total)) = (arguments.index, arguments.total) {
        return Ok(Some(Partition::fixed(base, arguments.workers, total)?));
    }
    let (key, environment) = (&arguments.key, arguments.environment.as_deref());
    let cluster = Cluster::new(key, arguments.partition.as_deref(), environment)?;
    let member = member(arguments)?;
    // What is read may lie on a disk that hangs.
    let session = tokio::select! {
        session = aside(move || Session::open(global)) => session??,
        () = termination.requested() => return Ok(None),
    };
    let registry = &session.registry;
    let deadline = Instant::now() + session.patience(PATIENCE);
    // One small question, which is repeated until the registry answers, and says so.
    let scope = Scope::from(cluster.dir().key(member.name().as_str())?);
    tokio::select! {
        answered = patiently(&**registry, session.patience(PATIENCE), || registry.list(&scope)) => drop(answered?),
        () = termination.requested() => return Ok(None),
    }
    let mut late = false;
    let giving_up = async {
        tokio::select! {
            () = sleep_until(deadline) => late = true,
            () = termination.requested() => {}
        }
    };
    let joined = match (arguments.passive, arguments.stable) {
        (false, false) => Partition::join_unless(registry, &cluster, member, giving_up).await,
        (false, true) => Partition::claim_unless(registry, &cluster, member, giving_up).await,
        // Who only observes leaves nothing behind.
        (true, false) => unless(giving_up, Partition::observe(registry, &cluster)).await,
        (true, true) => unless(giving_up, Partition::observe_slots(registry, &cluster)).await,
    };
    let joined = joined?;
    if joined.is_none() && late {
        let message = format!("{}: could not join {} in time", registry.info(), cluster.dir());
        return Err(Error::new(ErrorKind::Unavailable, message).into());
    }
    Ok(joined)
}

async fn unless(
    giving_up: impl Future<Output = ()>,
    observing: impl Future<Output = registry::Result<Partition>>,
) -> registry::Result<Option<Partition>> {
    tokio::select! {
        part = observing => part.map(Some),
        () = giving_up => Ok(None),
    }
}

fn member(arguments: &PartitionArguments) -> registry::Result<Member> {
    let mut member = Member::new(arguments.workers)?;
    if let Some(id) = &arguments.id {
        member = member.id(id)?;
    }
    if let Some(ttl) = arguments.ttl {
        member = member.ttl(ttl);
    }
    Ok(match arguments.renew_every {
        Some(interval) => member.renew_every(interval),
        None => member,
    })
}

/// One line for each change, until a signal comes or nobody reads them any more.
async fn tell(mut part: Partition, mut termination: Termination) -> Outcome {
    let told = keep_telling(&mut part, &mut termination).await;
    leave(part).await;
    told.map(|()| OK)
}

async fn keep_telling(part: &mut Partition, termination: &mut Termination) -> Outcome<()> {
    loop {
        let tell = async { print_line_aside(job::line(part.changed().await?)).await };
        tokio::select! {
            told = tell => told?,
            () = termination.requested() => return Ok(()),
        }
    }
}

/// Keeps the command running with the part that is this instance's, and only while there is one.
async fn work(mut part: Partition, mut job: Job, mut termination: Termination) -> Outcome {
    let ended = keep_working(&mut part, &mut job, &mut termination).await;
    // Whatever ended it: first the work stops, then others may take it over.
    let stopped = job.stop().await;
    let evicted = matches!(&ended, Err(failure) if failure.code == EVICTED);
    if evicted {
        tracing::warn!("evicted: the command was stopped");
    }
    leave(part).await;
    job.sweep().await;
    match ended? {
        Some(status) => Ok(code_of(status)),
        None => Ok(stopped.map_or(TERMINATED, code_of)),
    }
}

/// Until the command ends by itself (then how), or a signal comes.
async fn keep_working(part: &mut Partition, job: &mut Job, termination: &mut Termination) -> Outcome<Option<Status>> {
    loop {
        let share = tokio::select! {
            biased;
            () = termination.requested() => return Ok(None),
            status = job.ended() => {
                tracing::info!("the command ended by itself: {status}");
                return Ok(Some(status));
            }
            share = part.changed() => share?,
        };
        let newest = || part.share();
        tokio::select! {
            applied = job.apply(share, newest) => applied?,
            () = termination.requested() => return Ok(None),
        }
    }
}

async fn leave(part: Partition) {
    match timeout(LEAVE_LIMIT, part.leave()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!("{error}; the time to live will remove the entry"),
        Err(_) => tracing::warn!("could not leave in time; the time to live will remove the entry"),
    }
}

/// A part, for a message.
fn shown(share: Share) -> String {
    let range = share.range();
    format!("{}..{} of {}", range.start, range.end, share.total)
}
