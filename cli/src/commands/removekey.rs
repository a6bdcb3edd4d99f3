//! `removekey`: the own key is taken away, a successor's is not.

use std::time::Duration;

use crate::connecting::Session;
use crate::exit::{OK, Outcome};
use crate::ownership::Ownership;
use crate::patience::patiently;

const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn run(session: Session) -> Outcome {
    let own = session.configuration.required_own(&*session.registry)?;
    let (ownership, registry) = (Ownership::of(&session, &own.key), &*session.registry);
    let limit = session.patience(PATIENCE);
    match ownership.recall() {
        Some(word) => {
            // First of all, so that a heartbeat that still runs takes it for what it is.
            ownership.release(&word.lease);
            patiently(registry, limit, || registry.deregister(&word.lease)).await?;
        }
        // No heartbeat of this container has left word, so there is nothing to compare with.
        None => drop(patiently(registry, limit, || registry.remove(&own.key)).await?),
    }
    Ok(OK)
}
