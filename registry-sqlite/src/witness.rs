//! What this process has seen by itself. An entry is only removed on evidence: a deadline counts on the clock that it was
//! set on, and only for a process that knows that this clock has not jumped; of every other entry it has to be seen that nobody
//! renews it.

use std::collections::HashMap;

/// Two looks that are further apart, in milliseconds: the process was asleep, or the clock has jumped (a machine was
/// restored from a snapshot). Owners may have had no chance to renew. Less than that is a busy machine.
const GAP: i64 = 5_000;
/// How long the owners have after that, and after this process has begun: those who live renew at once.
const GRACE: i64 = 1_000;
/// How long to watch an entry of the version before, which does not say for how long it lives, on another clock.
const UNKNOWN_TTL: i64 = 5 * 60_000;
/// Entries of other clocks are not looked at more often.
const PAUSE: i64 = 100;

/// An entry that may be removed, as long as it is still as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) path: String,
    pub(crate) owner: Option<String>,
    pub(crate) expires: i64,
}

/// An entry whose deadline means nothing here.
#[derive(Debug)]
pub(crate) struct Foreign {
    pub(crate) entry: Due,
    pub(crate) ttl: Option<i64>,
}

#[derive(Debug)]
pub(crate) struct Witness {
    /// Since when it has looked without a gap.
    awake_since: i64,
    looked_at: i64,
    /// When the entries of other clocks were looked at.
    others_at: Option<i64>,
    /// The same entries as they were seen first, by their paths.
    others: HashMap<String, Seen>,
    has_said: bool,
}

#[derive(Debug)]
struct Seen {
    owner: Option<String>,
    expires: i64,
    since: i64,
    ttl: i64,
}

impl Seen {
    fn due_at(&self) -> i64 {
        self.since.saturating_add(self.ttl)
    }
}

impl Witness {
    pub(crate) fn new(now: i64) -> Self {
        Self { awake_since: now, looked_at: now, others_at: None, others: HashMap::new(), has_said: false }
    }

    /// Notes that the process is awake.
    pub(crate) fn look(&mut self, now: i64) {
        if !(0..=GAP).contains(&now.saturating_sub(self.looked_at)) {
            self.awake_since = now;
            self.others.clear();
            self.others_at = None;
        }
        self.looked_at = now;
    }

    /// How long until deadlines of the own clock can be believed.
    pub(crate) fn doubt(&self, now: i64) -> Option<i64> {
        Some(self.awake_since.saturating_add(GRACE).saturating_sub(now)).filter(|left| *left > 0)
    }

    /// Whether it is time to look at the entries of other clocks.
    pub(crate) fn asks_for_others(&self, now: i64) -> bool {
        self.others_at.is_none_or(|at| now.saturating_sub(at) >= PAUSE)
    }

    /// Notes which entries of other clocks there are, all of them, and returns those that nobody has renewed for their TTL.
    pub(crate) fn others(&mut self, found: Vec<Foreign>, now: i64) -> Vec<Due> {
        self.others_at = Some(now);
        if !found.is_empty() && !std::mem::replace(&mut self.has_said, true) {
            tracing::info!(
                entries = found.len(),
                "the store has entries of another clock (another boot id or time namespace): each stays until this \
                 process has seen no renewal of it for its TTL"
            );
        }
        let mut before = std::mem::take(&mut self.others);
        let mut due = Vec::new();
        for Foreign { entry, ttl } in found {
            let same = |seen: &Seen| seen.owner == entry.owner && seen.expires == entry.expires;
            let seen = before.remove(&entry.path).filter(same).unwrap_or_else(|| Seen {
                owner: entry.owner.clone(),
                expires: entry.expires,
                since: now,
                ttl: ttl.filter(|ttl| *ttl > 0).unwrap_or(UNKNOWN_TTL),
            });
            let is_due = now >= seen.due_at();
            self.others.insert(entry.path.clone(), seen);
            if is_due {
                due.push(entry);
            }
        }
        due
    }

    /// In how many milliseconds the next entry of another clock may be removed.
    pub(crate) fn next_other(&self, now: i64) -> Option<i64> {
        self.others.values().map(Seen::due_at).min().map(|at| at.saturating_sub(now).max(PAUSE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreign(expires: i64) -> Vec<Foreign> {
        vec![Foreign { entry: Due { path: "/a/b".into(), owner: Some("o".into()), expires }, ttl: Some(10_000) }]
    }

    /// Looks every second up to this time, at an entry of another clock with this deadline.
    fn watch(witness: &mut Witness, from: i64, to: i64, expires: i64) -> Option<i64> {
        (from..=to).step_by(1000).find(|now| {
            witness.look(*now);
            !witness.others(foreign(expires), *now).is_empty()
        })
    }

    #[test]
    fn an_entry_of_another_clock_is_due_when_nobody_was_seen_to_renew_it_for_its_time() {
        // Whatever its deadline says.
        for expires in [i64::MIN, -5, 0, 70_000, i64::MAX] {
            let mut witness = Witness::new(50_000);
            assert_eq!(watch(&mut witness, 50_000, 100_000, expires), Some(60_000), "{expires}");
        }
        let mut witness = Witness::new(0);
        assert_eq!(watch(&mut witness, 0, 9_000, 1), None);
        assert_eq!(watch(&mut witness, 10_000, 60_000, 2), Some(20_000), "it was renewed");
    }

    #[test]
    fn a_process_that_slept_has_seen_nothing() {
        for jump in [3_600_000, -3_600_000] {
            let mut witness = Witness::new(0);
            assert_eq!(watch(&mut witness, 0, 9_000, 1), None);
            assert_eq!(witness.doubt(9_000), None);
            let woken = 9_000 + jump;
            witness.look(woken);
            assert_eq!(witness.doubt(woken), Some(GRACE), "{jump}");
            assert_eq!(watch(&mut witness, woken, woken + 60_000, 1), Some(woken + 10_000), "{jump}");
        }
    }
}
