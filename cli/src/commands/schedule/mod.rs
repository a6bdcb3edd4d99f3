//! `schedule`: drives a node of a cluster to where its leader tells it to go, and leads when it is its turn.

mod arguments;
mod driver;
mod observing;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use registry::{Dir, Key, Registry, State};
use registry_recipes::scheduler::{CouchbaseConfig, CouchbaseDriver, Driver, Layout, Options, Scheduler, Status};
use tokio::time::timeout;

use crate::connecting::Session;
use crate::exit::{Failure, OK, Outcome, UNAVAILABLE};
use crate::signals::Termination;

pub(crate) use arguments::Schedule;

use driver::Commands;

/// How long the registry may take to be reached at the start.
const PATIENCE: Duration = Duration::from_mins(1);
/// The longest password, in bytes.
const MAX_PASSWORD: usize = 1024;

pub(super) async fn run(session: Session, given: Schedule) -> Outcome {
    let mut layout = Layout::new(&Dir::new(&given.dir)?)?;
    if given.observe {
        return observing::run(session, layout).await;
    }
    if let Some(key) = &given.master_key {
        layout = layout.address(Key::parse(key)?);
    }
    let driver = driver(&given, &session)?;
    let options = Options::new().node_ttl(given.ttl).leader_ttl(given.leader_ttl);
    let name = given.session.clone().unwrap_or_else(Scheduler::new_session);
    let address = given.address.clone().unwrap_or_default();
    let mut termination = Termination::listen()?;
    let patience = session.patience(PATIENCE);
    let registry: Arc<dyn Registry> = session.registry.clone();
    let starting = timeout(patience, Scheduler::start(registry, layout, &name, &address, driver, options));
    let scheduler = tokio::select! {
        started = starting => started.map_err(|_| {
            let info = session.registry.info();
            Failure::new(UNAVAILABLE, format!("{info} cannot be reached within {patience:?}"))
        })??,
        () = termination.requested() => return Ok(OK),
    };
    tracing::info!("{name} at {address} is announced in {}", given.dir);
    let failure = follow(&scheduler, &mut termination).await;
    tracing::info!("stopping");
    scheduler.stop(given.stop_timeout).await;
    failure
}

/// Says what happens, until it is time to stop.
async fn follow(scheduler: &Scheduler, termination: &mut Termination) -> Outcome {
    let mut status = scheduler.watch();
    let mut said = String::new();
    loop {
        let now = status.borrow_and_update().clone();
        if let Some(failure) = &now.failure {
            return Err(Failure::from(&**failure));
        }
        let line = describe(&now);
        if line != said {
            tracing::info!("{line}");
            said = line;
        }
        tokio::select! {
            changed = status.changed() => if changed.is_err() { return Ok(OK) },
            () = termination.requested() => return Ok(OK),
        }
    }
}

fn describe(status: &Status) -> String {
    let desired = status.desired.map_or("nothing yet", |desired| desired.as_str());
    let leading = if status.leading.is_some() { "yes" } else { "no" };
    let master = if status.master { "yes" } else { "no" };
    let state = if status.state.as_str().is_empty() { "not joined" } else { status.state.as_str() };
    let announced = match status.registration {
        State::Held { .. } | State::Renewing => "yes",
        _ => "no",
    };
    format!("announced: {announced}, state: {state}, told: {desired}, master: {master}, leader: {leading}")
}

fn driver(given: &Schedule, session: &Session) -> Outcome<Arc<dyn Driver>> {
    if let (Some(url), Some(user), Some(file)) =
        (&given.couchbase, &given.couchbase_user, &given.couchbase_password_file)
    {
        let config = CouchbaseConfig::new(url, user.as_str(), password(file)?)?;
        return Ok(Arc::new(CouchbaseDriver::new(config)?));
    }
    Ok(Arc::new(Commands::new(given, session.processes()?)?))
}

fn password(file: &Path) -> Outcome<String> {
    let wrong = |what: &str| Failure::configuration(format!("the password file {}: {what}", file.display()));
    let text = fs::read_to_string(file).map_err(|error| wrong(&error.to_string()))?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    let password = password.strip_suffix('\r').unwrap_or(password);
    match password.len() {
        0 => Err(wrong("it is empty")),
        length if length > MAX_PASSWORD => Err(wrong("it is too long for a password")),
        _ => Ok(password.to_owned()),
    }
}
