//! `watchkey`: returns when somebody removed the own key.

use std::time::Duration;

use registry::{Change, DEFAULT_TTL, ErrorKind, Event, Registry, RegistryExt, Removed, Scope};
use tokio::time::{Instant, sleep};

use crate::connecting::Session;
use crate::exit::{Failure, OK, Outcome, UNAVAILABLE};
use crate::ownership::{Ownership, Word};

/// How often, while the key is gone, the word of the other commands is looked at: a heartbeat may know that it was evicted
/// when its lease has gone already, and with it what could have been seen from here.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What the watch has shown of the key.
enum Seen {
    There,
    Gone(Removed),
}

pub(super) async fn run(session: Session) -> Outcome {
    let own = session.configuration.required_own(&*session.registry)?;
    let ownership = Ownership::of(&session, &own.key);
    let earlier = ownership.released();
    // How long a heartbeat has to put the key back: an outage that was longer than the time to live has let it expire, and
    // that is no reason to stop a healthy service.
    let grace = own.ttl.unwrap_or(DEFAULT_TTL) + own.renew_every.unwrap_or_default().max(Duration::from_secs(1));
    let word = || ownership.recall().filter(|word| Some(word.lease.token()) != earlier);
    let mut watch = session.registry.subscribe(Scope::from(&own.key));
    let mut is_gone = false;
    // Only while somebody can be asked: in an outage nothing more is known to be gone.
    let mut deadline: Option<Instant> = None;
    loop {
        let event = tokio::select! {
            event = watch.next() => event,
            () = sleep(LOOK_AGAIN), if is_gone => {
                if word().is_some_and(|word| word.released) {
                    tracing::info!("{} was removed", own.key);
                    return Ok(OK);
                }
                if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                    tracing::warn!("{} has expired, and no heartbeat has put it back", own.key);
                    return Ok(OK);
                }
                continue;
            }
        };
        let seen = match event {
            Some(Ok(Event::Snapshot { snapshot, .. })) if snapshot.entries.is_empty() => Seen::Gone(Removed::Unknown),
            Some(Ok(Event::Snapshot { .. })) => Seen::There,
            Some(Ok(Event::Changes(batch))) => match batch.changes.last() {
                Some(Change::Remove { reason, .. }) => Seen::Gone(*reason),
                _ => Seen::There,
            },
            Some(Ok(Event::Interrupted { error, .. })) => {
                tracing::debug!("{error}");
                deadline = None;
                continue;
            }
            Some(Ok(Event::Resumed { .. })) => {
                // What was gone before the outage is gone still, and no event will say so again.
                deadline = is_gone.then(|| Instant::now() + grace);
                continue;
            }
            Some(Err(error)) => return Err(error.into()),
            None => return Err(Failure::new(UNAVAILABLE, format!("{}: the watch ended", own.key))),
        };
        match seen {
            Seen::There => (is_gone, deadline) = (false, None),
            Seen::Gone(reason) if evicted(&*session.registry, reason, word().as_ref()).await => {
                tracing::info!("{} was removed", own.key);
                return Ok(OK);
            }
            Seen::Gone(_) => (is_gone, deadline) = (true, Some(Instant::now() + grace)),
        }
    }
}

/// Whether it was removed by somebody, as far as that can be known: by the reason, else by `removekey`'s word, else by the
/// lease, which outlives an entry that was removed and ends with one that expired.
async fn evicted(registry: &dyn Registry, reason: Removed, word: Option<&Word>) -> bool {
    match (reason, word) {
        (Removed::Deleted, _) => true,
        (Removed::Expired, _) | (Removed::Unknown, None) => false,
        (Removed::Unknown, Some(word)) => {
            word.released || registry.renew(&word.lease).await.is_err_and(|error| error.kind() == ErrorKind::Evicted)
        }
    }
}
