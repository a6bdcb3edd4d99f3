//! Who takes part, and with how many workers.

use std::time::Duration;

use registry_core::{Condition, Error, Name, RegisterOptions, Result};

use super::cluster::SLOTS;

/// The most workers that one member may have: what the original can count.
pub const MAX_WORKERS: u64 = i32::MAX as u64;
/// The most workers of one member with stable slots, where each worker is an entry of its own.
pub const MAX_SLOTS: u64 = 256;

/// How long an entry of the original outlives its last renewal.
const TTL: Duration = Duration::from_mins(2);
/// A renewal every 30 of 120 seconds, as the original does it; the same proportion for any other time to live.
const RENEWALS: u32 = 4;

/// A member of a cluster: its name and the number of its workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub(super) id: Name,
    pub(super) workers: u64,
    ttl: Option<Duration>,
    renew_every: Option<Duration>,
}

impl Member {
    /// A member with this many workers, and a UUID of 32 hexadecimal digits as its name.
    ///
    /// # Errors
    /// `InvalidInput` unless there are 1 to [`MAX_WORKERS`] workers.
    pub fn new(workers: u64) -> Result<Self> {
        if !(1..=MAX_WORKERS).contains(&workers) {
            return Err(Error::invalid_input(format!(
                "{workers} workers are not possible; allowed are 1 to {MAX_WORKERS}"
            )));
        }
        let id = Name::new(&uuid::Uuid::new_v4().simple().to_string())?;
        Ok(Self { id, workers, ttl: None, renew_every: None })
    }

    /// Gives it a name of its own. The members are in the byte order of their names.
    ///
    /// # Errors
    /// `InvalidInput`, naming the rule that is broken. `slots` is the name of a directory.
    pub fn id(mut self, id: &str) -> Result<Self> {
        let name = Name::new(id).map_err(|error| Error::invalid_input(format!("the instance: {error}")))?;
        if name.is_nested() {
            return Err(Error::invalid_input(format!("the instance {id:?} must not hold `/`")));
        }
        if id == SLOTS {
            return Err(Error::invalid_input(format!(
                "an instance cannot be called {SLOTS:?}: that is where stable slots are kept"
            )));
        }
        self.id = name;
        Ok(self)
    }

    /// Sets how long its entry outlives the last renewal: two minutes when not set, 15 seconds for stable slots.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Sets how often its entry is renewed: four times in its time to live when not set.
    pub fn renew_every(mut self, interval: Duration) -> Self {
        self.renew_every = Some(interval);
        self
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        &self.id
    }

    /// How its one entry is registered. The directory is watched anyway, and shows when the entry goes.
    pub(super) fn options(&self) -> RegisterOptions {
        let ttl = self.ttl.unwrap_or(TTL);
        let options = RegisterOptions::new().condition(Condition::Absent).ttl(ttl).without_watch();
        options.renew_every(self.renew_every.unwrap_or(ttl / RENEWALS))
    }

    /// How each of its slots is registered. The directory is watched once for all of them.
    pub(super) fn slot_options(&self) -> RegisterOptions {
        let mut options = RegisterOptions::new().condition(Condition::Absent).single_ownership().without_watch();
        options.ttl = self.ttl;
        options.renew_every = self.renew_every;
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_32_hexadecimal_digits_when_none_is_given() {
        let (one, other) = (Member::new(1).unwrap(), Member::new(1).unwrap());
        assert_ne!(one.name(), other.name());
        let id = one.name().as_str();
        assert!(id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{id}");
    }

    #[test]
    fn what_cannot_be_a_member_is_refused() {
        assert!(Member::new(0).is_err() && Member::new(MAX_WORKERS + 1).is_err());
        for id in ["", "a/b", "_hidden", "slots", "a b"] {
            assert!(Member::new(1).unwrap().id(id).is_err(), "{id:?}");
        }
        assert!(Member::new(MAX_WORKERS).unwrap().id("node-1:80").is_ok());
    }

    #[test]
    fn the_times_are_those_of_the_original() {
        let options = Member::new(1).unwrap().options();
        assert_eq!((options.ttl, options.renew_every), (Some(Duration::from_mins(2)), Some(Duration::from_secs(30))));
        let options = Member::new(1).unwrap().ttl(Duration::from_secs(8)).options();
        assert_eq!(options.renew_every, Some(Duration::from_secs(2)));
    }
}
