//! Giving the own entry back when the program is asked to end.

use std::time::Duration;

use registry::Registration;
use tokio::time::timeout;

use crate::exit::{Failure, OK, Outcome, UNAVAILABLE};

/// How long it may take: half of what those who stop containers wait before they kill.
const LIMIT: Duration = Duration::from_secs(5);

/// Gives an entry back, also one that is only about to stand.
pub(crate) async fn give_back(registration: Registration) -> Outcome {
    let key = registration.key().clone();
    let Ok(released) = timeout(LIMIT, registration.deregister()).await else {
        let message = format!("{key}: could not deregister within {LIMIT:?}");
        return Err(Failure::new(UNAVAILABLE, message));
    };
    released?;
    Ok(OK)
}
