//! `wait`: until a cluster has enough members.

use registry::{Event, RegistryExt, Scope, Snapshot};
use tokio::time::{Instant, timeout_at};

use super::members::print_members;
use crate::arguments::Format;
use crate::connecting::Session;
use crate::exit::{Failure, OK, Outcome, TIMEOUT, UNAVAILABLE};
use crate::patience::FOR_EVER;
use crate::shown;

pub(super) async fn run(session: Session, cluster: &str, min: usize, output: Format) -> Outcome {
    let dir = session.configuration.dir(cluster)?;
    let scope = Scope::from(&dir);
    let limit = session.global.timeout;
    let deadline = Instant::now() + limit.unwrap_or(FOR_EVER);
    let mut members = session.registry.subscribe(scope.clone());
    let mut snapshot = Snapshot::default();
    loop {
        let Ok(event) = timeout_at(deadline, members.next()).await else {
            let there = shown::members(&snapshot).count();
            let message = format!("{dir} has {there} of {min} members after {:?}", limit.unwrap_or_default());
            return Err(Failure::new(TIMEOUT, message));
        };
        match event {
            Some(Ok(Event::Snapshot { snapshot: all, .. })) => snapshot = all,
            // Membership is rare to change and cheap to read; the list is the truth.
            Some(Ok(Event::Changes(_))) => match session.registry.list(&scope).await {
                Ok(all) => snapshot = all,
                Err(error) => tracing::debug!("{error}"),
            },
            Some(Ok(Event::Interrupted { error, .. })) => tracing::warn!("waiting for the registry: {error}"),
            Some(Ok(Event::Resumed { .. })) => {}
            Some(Err(error)) => return Err(error.into()),
            None => return Err(Failure::new(UNAVAILABLE, format!("the watch of {dir} ended"))),
        }
        if shown::members(&snapshot).count() >= min {
            print_members(&snapshot, output)?;
            return Ok(OK);
        }
    }
}
