//! `evict`: an administrator takes a member out.

use std::time::Duration;

use crate::connecting::Session;
use crate::exit::{Failure, NOT_FOUND, OK, Outcome};
use crate::patience::patiently;

const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn run(session: Session, cluster: &str, name: &str) -> Outcome {
    let key = session.configuration.member(cluster, name)?;
    let registry = &*session.registry;
    if patiently(registry, session.patience(PATIENCE), || registry.remove(&key)).await? {
        return Ok(OK);
    }
    Err(Failure::new(NOT_FOUND, format!("{key} is not registered")))
}
