//! What a lock guards.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::history::{Recorder, What};

/// Something that is written to under a lock, and that looks at the tokens: who comes with a smaller one than was seen
/// before is refused.
#[derive(Debug, Default)]
pub struct Resource {
    largest: Mutex<HashMap<String, u64>>,
}

impl Resource {
    /// Writes with a token. Returns whether it was taken.
    pub fn write(&self, lock: &str, token: u64, recorder: &Recorder) -> bool {
        self.decide(lock, token, recorder, |token, largest| token >= largest)
    }

    /// Writes, and nobody looks at the token: what a resource without a fence would do.
    pub fn write_unfenced(&self, lock: &str, token: u64, recorder: &Recorder) -> bool {
        self.decide(lock, token, recorder, |_, _| true)
    }

    fn decide(&self, lock: &str, token: u64, recorder: &Recorder, takes: impl Fn(u64, u64) -> bool) -> bool {
        let mut largest = self.largest.lock().unwrap_or_else(PoisonError::into_inner);
        let largest = largest.entry(lock.to_owned()).or_default();
        let accepted = takes(token, *largest);
        if accepted {
            *largest = (*largest).max(token);
        }
        // Under the lock of the resource, so that the history has the writes in their true order.
        recorder.record(What::Wrote { lock: lock.to_owned(), token, accepted });
        accepted
    }
}
