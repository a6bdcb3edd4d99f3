//! `lock` and `elect`: a command that runs in at most one place, or in a few.

mod arguments;

use std::pin::Pin;
use std::time::Duration;

use registry::{DEFAULT_TTL, Dir, Error, ErrorKind, Scope};
use registry_recipes::{Election, Guard};
use serde_json::json;
use tokio::time::timeout;

pub(crate) use arguments::{Elect, Exclusive, Lock};

use crate::arguments::Format;
use crate::connecting::Session;
use crate::exit::{Failure, LOST, NOT_FOUND, OK, Outcome, TIMEOUT, UNAVAILABLE, code_of};
use crate::holding::{Ended, attend, start};
use crate::output::print_line;
use crate::patience::{FOR_EVER, patiently};
use crate::signals::Termination;

/// How long a question may take whose answer only makes a message better.
const QUESTION: Duration = Duration::from_secs(2);
/// However little patience there is, one answer is waited for.
const AT_LEAST: Duration = Duration::from_secs(1);
/// How long to wait for the registry when it is only asked.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn lock(session: Session, arguments: Lock) -> Outcome {
    let dir = dir("/locks", &arguments.name)?;
    let lock = registry_recipes::Lock::new(session.registry.clone(), dir.clone()).permits(arguments.permits);
    let lock = arguments.exclusive.ttl.into_iter().fold(lock, registry_recipes::Lock::ttl);
    let lock = session.global.timeout.into_iter().fold(lock, registry_recipes::Lock::patience);
    let value = arguments.exclusive.value();
    let acquire = async |giving_up: Waiting<'_>| lock.acquire_unless(giving_up, value).await;
    let name = ("CLUSTER_CONTROL_LOCK", arguments.name.clone());
    hold(&session, &dir, acquire, arguments.permits.get(), &arguments.exclusive, name).await
}

pub(super) async fn elect(session: Session, arguments: Elect) -> Outcome {
    let dir = dir("/elections", &arguments.name)?;
    let election = Election::new(session.registry.clone(), dir.clone());
    if arguments.show {
        return show(&session, &election, &arguments).await;
    }
    let election = arguments.exclusive.ttl.into_iter().fold(election, Election::ttl);
    let election = session.global.timeout.into_iter().fold(election, Election::patience);
    let value = arguments.exclusive.value();
    let campaign = async |giving_up: Waiting<'_>| {
        Ok(election.campaign_unless(giving_up, value).await?.map(registry_recipes::Guard::from))
    };
    let name = ("CLUSTER_CONTROL_ELECTION", arguments.name.clone());
    hold(&session, &dir, campaign, 1, &arguments.exclusive, name).await
}

/// Ends when the waiting is given up.
type Waiting<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Waits for it, and runs the command while it is held.
async fn hold(
    session: &Session,
    dir: &Dir,
    acquire: impl AsyncFnOnce(Waiting<'_>) -> registry::Result<Option<Guard>>,
    permits: usize,
    exclusive: &Exclusive,
    name: (&str, String),
) -> Outcome {
    if exclusive.command.is_empty() {
        return Err(Failure::usage("name the command after `--`; to see who leads, use `elect NAME --show`"));
    }
    let mut termination = Termination::listen()?;
    let processes = session.processes()?;
    let mut signal = 0;
    let scope = Scope::from(dir);
    // A small question first, which is repeated until the registry answers, and says so.
    let reach = || session.registry.list(&scope);
    tokio::select! {
        reached = patiently(&*session.registry, session.patience(FOR_EVER).max(AT_LEAST), reach) => drop(reached?),
        asked = termination.signal() => return Ok(128 + asked),
    }
    let acquired = acquire(Box::pin(async { signal = termination.signal().await })).await;
    let guard = match acquired {
        Ok(Some(guard)) => guard,
        Ok(None) => return Ok(128 + signal),
        Err(error) if error.kind() == ErrorKind::Timeout => {
            return Err(too_late(session, &error, &scope, permits).await);
        }
        Err(error) => return Err(error.into()),
    };
    tracing::info!("{dir} is held, token {}", guard.token());
    let environment = [name, ("CLUSTER_CONTROL_TOKEN", guard.token().to_string())];
    let child = match start(&processes, &exclusive.command, &environment) {
        Ok(child) => child,
        Err(failure) => {
            release(guard).await;
            return Err(failure);
        }
    };
    // Renewals come every third of the time to live: one that is only late must not look like a loss.
    let grace = exclusive.grace.min(exclusive.ttl.unwrap_or(DEFAULT_TTL) / 4);
    let losing = guard.lost_within(grace);
    match attend(&child, losing, &mut termination, exclusive.stop_timeout).await {
        Ended::Done(status) => {
            release(guard).await;
            Ok(code_of(status))
        }
        Ended::Lost => {
            let why = if guard.held() {
                "it could not be renewed in time".to_owned()
            } else {
                guard.loss().await.to_string()
            };
            release(guard).await;
            Err(Failure::new(LOST, format!("{dir} was lost, the command was stopped: {why}")))
        }
    }
}

async fn release(guard: Guard) {
    // For a registry that cannot be reached nobody waits: the time to live gives it back.
    match timeout(QUESTION, guard.release()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!("could not give it back, its time to live will: {error}"),
        Err(_) => tracing::warn!("could not give it back in {QUESTION:?}, its time to live will"),
    }
}

/// Why it could not be had: who has it, or that the registry cannot be reached.
async fn too_late(session: &Session, late: &Error, scope: &Scope, permits: usize) -> Failure {
    let mut snapshot = match timeout(QUESTION, session.registry.list(scope)).await {
        Ok(Ok(snapshot)) => snapshot,
        Ok(Err(error)) => return error.into(),
        Err(_) => {
            return Failure::new(
                UNAVAILABLE,
                format!("{} does not answer within {QUESTION:?}", session.registry.info()),
            );
        }
    };
    snapshot.entries.sort_by_key(|entry| entry.index.position());
    let held = snapshot.entries.iter().filter(|entry| !entry.name.is_nested()).take(permits);
    let by: Vec<_> = held.map(|entry| String::from_utf8_lossy(&entry.value).escape_debug().to_string()).collect();
    let by = if by.is_empty() { "nobody any more".to_owned() } else { by.join(", ") };
    Failure::new(TIMEOUT, format!("{late}; it is held by {by}"))
}

async fn show(session: &Session, election: &Election, arguments: &Elect) -> Outcome {
    let leader = patiently(&*session.registry, session.patience(PATIENCE), || election.leader()).await?;
    let Some(leader) = leader else {
        return Err(Failure::new(NOT_FOUND, format!("nobody leads {}", arguments.name)));
    };
    let value = String::from_utf8_lossy(&leader.value);
    print_line(&match arguments.output {
        Format::Text => value.escape_debug().to_string(),
        Format::Json | Format::Ndjson => json!({ "leader": value, "token": leader.token.position() }).to_string(),
    })?;
    Ok(OK)
}

/// A name below the usual directory, or a path.
fn dir(usual: &str, name: &str) -> Outcome<Dir> {
    let path = if name.starts_with('/') { name.to_owned() } else { format!("{usual}/{name}") };
    Dir::new(&path).map_err(|error| Failure::usage(error.to_string()))
}
