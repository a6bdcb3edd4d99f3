//! One who wants an entry, as a service does that announces itself.

use std::sync::Arc;
use std::time::Duration;

use registry::{Condition, ErrorKind, Key, RegisterOptions, Registration, RegistryExt, State};

use super::{Context, LOOK};
use crate::history::{Recorder, What, now};

/// How long a registrar that has left, or was refused, stays away.
const AWAY: Duration = Duration::from_millis(400);

/// Announces an entry whenever nobody has it, and believes in it as long as the registration says so. Evicted, it comes
/// back; told to leave, it gives the entry back and comes back later.
pub async fn register(mut context: Context, key: Key, ttl: Duration) {
    let options = RegisterOptions::new().ttl(ttl).condition(Condition::Absent);
    let mut incarnation = 0;
    context.recorder.record(What::Announcing { key: key.to_string(), absent: true });
    while !context.is_stopped() {
        incarnation += 1;
        let value = format!("{}-{incarnation}", context.recorder.who());
        let registry = Arc::clone(&context.registry);
        let announced = tokio::select! {
            announced = registry.announce(key.clone(), value, options) => Some(announced),
            () = context.left() => None,
        };
        match announced {
            Some(Ok(registration)) => {
                let left = follow(&mut context, &key, &registration).await;
                if left {
                    context.recorder.record(What::Deregistering { key: key.to_string() });
                    // What cannot be given back now, the time to live gives back.
                    if registration.deregister().await.is_err() {
                        context.recorder.record(What::LeftBehind { key: key.to_string() });
                    }
                }
            }
            Some(Err(error)) if error.kind() == ErrorKind::Conflict => {
                context.recorder.record(What::Conflict { key: key.to_string() });
            }
            Some(Err(error)) => {
                context.recorder.record(What::Interrupted { why: error.to_string() });
            }
            None => {
                context.recorder.record(What::Deregistering { key: key.to_string() });
                // Given up in the middle: what was written is given back in the background, as well as that can be done.
                context.recorder.record(What::LeftBehind { key: key.to_string() });
            }
        }
        if context.rest(AWAY).await {
            context.recorder.record(What::Announcing { key: key.to_string(), absent: true });
        }
    }
    context.recorder.record(What::Deregistering { key: key.to_string() });
}

/// Asks the registration again and again. True: it is to be given back; false: it is over.
async fn follow(context: &mut Context, key: &Key, registration: &Registration) -> bool {
    let recorder = context.recorder.clone();
    let mut belief = Belief { recorder: &recorder, key, held: None };
    let mut refused = false;
    loop {
        let (at, status) = (now(), registration.status());
        belief.look(at, status.held().map(registry::Index::position), &format!("{:?}", status.state));
        if !std::mem::replace(&mut refused, status.state == State::Refused) && refused {
            recorder.record(What::Conflict { key: key.to_string() });
        }
        if status.is_final() {
            belief.look(at, None, &format!("{:?}", status.state));
            return false;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = context.left() => {
                belief.look(now(), None, "leaving");
                return true;
            }
        }
    }
}

/// What a registrar believes, written down whenever that changes.
pub(crate) struct Belief<'a> {
    pub(crate) recorder: &'a Recorder,
    pub(crate) key: &'a Key,
    /// The token, and when it was last looked at.
    pub(crate) held: Option<(u64, u64)>,
}

impl Belief<'_> {
    /// What it believes at this moment.
    pub(crate) fn look(&mut self, at: u64, token: Option<u64>, state: &str) {
        let before = self.held;
        self.held = token.map(|token| (token, at));
        if before.map(|(token, _)| token) == token {
            return;
        }
        if let Some((token, last)) = before {
            let (key, state) = (self.key.to_string(), state.to_owned());
            self.recorder.record(What::Unheld { key, token, last, state });
        }
        if let Some(token) = token {
            self.recorder.record(What::Held { key: self.key.to_string(), token });
        }
    }
}
