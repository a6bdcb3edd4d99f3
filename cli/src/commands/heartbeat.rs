//! `heartbeat`: the own key, set and kept.

use std::time::Duration;

use registry::{RegistryExt, State};

use crate::connecting::Session;
use crate::exit::{EVICTED, OK, Outcome};
use crate::ownership::Ownership;
use crate::patience::patiently;
use crate::releasing::give_back;
use crate::run::registering::{say, stands};
use crate::signals::Termination;

const PATIENCE: Duration = Duration::from_mins(1);

pub(super) async fn run(session: Session, once: bool) -> Outcome {
    let own = session.configuration.required_own(&*session.registry)?;
    let ownership = Ownership::of(&session, &own.key);
    let registry = &session.registry;
    if once {
        let (value, options) = (own.value.clone(), own.options());
        let set = || registry.register(&own.key, value.clone().into(), &options);
        let lease = patiently(&**registry, session.patience(PATIENCE), set).await?;
        ownership.remember(&lease);
        return Ok(OK);
    }
    let earlier = ownership.released();
    let mut termination = Termination::listen()?;
    let mut announced = registry.begin(own.key.clone(), own.value.clone(), own.options())?;
    tokio::select! {
        stands = stands(&own.key, &mut announced) => stands?,
        // What is on its way may arrive all the same.
        () = termination.requested() => return give_back(announced).await,
    }
    let mut status = announced.watch();
    status.mark_changed();
    let mut held = None;
    let code = loop {
        tokio::select! {
            changed = status.changed() => {
                let now = status.borrow_and_update().clone();
                let released = ownership.released();
                let is_taken = released.is_some() && released != earlier;
                if let (false, State::Held { .. }, Some(lease)) = (is_taken, now.state, &now.lease) {
                    ownership.remember(lease);
                    held = Some(lease.clone());
                }
                // Who reads that it is registered can rely on the word that was left.
                say(&own.key, &now);
                if changed.is_err() || now.is_final() {
                    break EVICTED;
                }
                // Not every registry can tell an entry that `removekey` gave back from one that was lost in an outage.
                if is_taken {
                    tracing::warn!("{}: removekey was run", own.key);
                    break EVICTED;
                }
            }
            () = termination.requested() => break OK,
        }
    };
    if let Err(failure) = give_back(announced).await {
        tracing::warn!("{failure}; its time to live will remove it");
    }
    if let Some(lease) = held {
        ownership.release(&lease);
    }
    Ok(code)
}
