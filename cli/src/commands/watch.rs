//! `watch`: the members and every change, as data or as runs of a command.

use std::collections::BTreeMap;
use std::time::Duration;

use processes::{Command, Input, Processes};
use registry::{
    Backoff, Change, DEFAULT_GRACE, Entry, Event, Index, Name, RegistryExt, Snapshot, SubscribeOptions, Subscription,
};
use tokio::time::sleep;

use crate::configuration::WatchSpec;
use crate::connecting::Session;
use crate::exit::{Failure, OK, Outcome, UNAVAILABLE};
use crate::following::{View, say};
use crate::output::print_line_aside;
use crate::shown;
use crate::signals::Termination;

/// How long one run of the command may take.
const LIMIT: Duration = Duration::from_mins(1);

pub(super) async fn run(
    session: Session,
    cluster: &str,
    from: Option<&str>,
    grace: Option<Duration>,
    command: Vec<String>,
) -> Outcome {
    let watch = WatchSpec { name: cluster.to_owned(), dir: session.configuration.dir(cluster)?, grace };
    let mut termination = Termination::listen()?;
    // A command acts on what it is told; what is only printed is what the registry says.
    let grace = grace.unwrap_or(if command.is_empty() { Duration::ZERO } else { DEFAULT_GRACE });
    let mut options = SubscribeOptions::new().grace(grace);
    if let Some(from) = from {
        options = options.after(from.parse::<Index>()?);
    }
    let events = session.registry.subscribe_with(&watch.dir, options);
    let watching = async {
        if command.is_empty() {
            print_events(&watch, events).await
        } else {
            run_command(session.processes()?, &watch, events, &command).await
        }
    };
    tokio::select! {
        ended = watching => ended,
        () = termination.requested() => Ok(OK),
    }
}

async fn next(watch: &WatchSpec, events: &mut Subscription, view: &mut View) -> Outcome<Event> {
    match events.next().await {
        Some(Ok(event)) => {
            say(watch, &event, view);
            Ok(event)
        }
        Some(Err(error)) => Err(error.into()),
        None => Err(Failure::new(UNAVAILABLE, format!("the watch of {} ended", watch.dir))),
    }
}

async fn print_events(watch: &WatchSpec, mut events: Subscription) -> Outcome {
    let mut view = View::default();
    loop {
        if let Some(event) = shown::event(&next(watch, &mut events, &mut view).await?) {
            print_line_aside(event.to_string()).await?;
        }
    }
}

/// Runs the command for the newest state: at most one at a time, until one succeeds.
async fn run_command(processes: Processes, watch: &WatchSpec, mut events: Subscription, argv: &[String]) -> Outcome {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_mins(1));
    let (mut members, mut view, mut due) = (BTreeMap::new(), View::default(), false);
    let mut index = Index::default();
    loop {
        // The first event is waited for; those that came meanwhile are taken in before the next run.
        let event = if due {
            tokio::select! {
                biased;
                event = next(watch, &mut events, &mut view) => Some(event?),
                () = std::future::ready(()) => None,
            }
        } else {
            Some(next(watch, &mut events, &mut view).await?)
        };
        if let Some(event) = event {
            due |= fold(&mut members, &mut index, event);
            continue;
        }
        match once(&processes, watch, &members, index, argv).await {
            Ok(()) => {
                backoff.reset();
                due = false;
            }
            Err(problem) => {
                let wait = backoff.next_wait();
                tracing::warn!("{problem}; trying again in {wait:?}");
                sleep(wait).await;
            }
        }
    }
}

/// Takes an event in; true when the members have changed.
fn fold(state: &mut BTreeMap<Name, Entry>, index: &mut Index, event: Event) -> bool {
    match event {
        Event::Snapshot { snapshot, .. } => {
            *index = snapshot.index;
            *state = shown::members(&snapshot).map(|entry| (entry.name.clone(), entry.clone())).collect();
            true
        }
        Event::Changes(batch) => {
            *index = batch.index;
            let changes = batch.changes.into_iter().filter(|change| !change.name().is_nested());
            changes.fold(false, |changed, change| {
                changed
                    | match change {
                        Change::Put(entry) => {
                            let value = entry.value.clone();
                            state.insert(entry.name.clone(), entry).is_none_or(|before| before.value != value)
                        }
                        Change::Remove { name, .. } => state.remove(&name).is_some(),
                    }
            })
        }
        Event::Interrupted { .. } | Event::Resumed { .. } => false,
    }
}

async fn once(
    processes: &Processes,
    watch: &WatchSpec,
    state: &BTreeMap<Name, Entry>,
    index: Index,
    argv: &[String],
) -> Result<(), String> {
    let Some((program, arguments)) = argv.split_first() else { return Ok(()) };
    let snapshot = Snapshot { entries: state.values().cloned().collect(), index };
    let members: Vec<_> = shown::members(&snapshot).map(shown::entry).collect();
    let command = Command::new(program)
        .args(arguments)
        .stdin(Input::Bytes(serde_json::Value::from(members).to_string().into_bytes()))
        .env("CLUSTER_CONTROL_EVENT", "changed")
        .env("CLUSTER_CONTROL_CLUSTER", &watch.name)
        .env("CLUSTER_CONTROL_INDEX", index.to_string())
        .env("CLUSTER_CONTROL_MEMBERS_COUNT", state.len().to_string());
    let outcome = processes.run_to_end(command, LIMIT).await.map_err(|error| error.to_string())?;
    match (outcome.timed_out, outcome.success()) {
        (true, _) => Err(format!("{program} took longer than {LIMIT:?}")),
        (false, true) => Ok(()),
        (false, false) => Err(format!("{program}: {}", outcome.status)),
    }
}
