//! Making histories: each line comes a tenth of a second after the one before.

use cluster_control_faults::checker::{Rule, check};
use cluster_control_faults::history::{Change, Line, Members, Mode, Seen, What};

/// A tenth of a second, in microseconds.
pub(crate) const STEP: u64 = 100_000;
/// The longest that somebody may believe in what is gone.
pub(crate) const NOTICE: u64 = 20 * STEP;

#[derive(Clone)]
pub(crate) struct History {
    pub(crate) lines: Vec<Line>,
}

/// The rules that a history breaks, each once.
pub(crate) fn rules(lines: &[Line]) -> Vec<Rule> {
    check(lines).rules()
}

pub(crate) fn put(name: &str, created: u64, value: &str) -> Change {
    Change::Put { name: name.to_owned(), created, value: value.to_owned() }
}

pub(crate) fn remove(name: &str) -> Change {
    Change::Remove { name: name.to_owned() }
}

pub(crate) fn members(entries: &[(&str, u64, &str)]) -> Members {
    let entry = |(name, created, value): &(&str, u64, &str)| {
        ((*name).to_owned(), Seen { created: *created, value: (*value).to_owned() })
    };
    entries.iter().map(entry).collect()
}

impl History {
    pub(crate) fn new() -> Self {
        Self::of(Mode::Events)
    }

    pub(crate) fn of(mode: Mode) -> Self {
        let begin = What::Begin {
            seed: 1,
            store: "by hand".to_owned(),
            schedule: "by hand".to_owned(),
            mode,
            compares: false,
            ttl: 10 * STEP,
            notice: NOTICE,
            overlap: 0,
            overlap_of_parts: 0,
        };
        Self { lines: Vec::new() }.say("world", begin)
    }

    /// The same where two may hold one thing for so long.
    pub(crate) fn overlapping(mut self, long: u64) -> Self {
        if let What::Begin { overlap, overlap_of_parts, .. } = &mut self.lines[0].what {
            (*overlap, *overlap_of_parts) = (long, long);
        }
        self
    }

    /// The same on a store where lists are compared.
    pub(crate) fn comparing(mut self) -> Self {
        if let What::Begin { compares, .. } = &mut self.lines[0].what {
            *compares = true;
        }
        self
    }

    /// When the next line will be.
    pub(crate) fn now(&self) -> u64 {
        (self.lines.len() as u64 + 1) * STEP
    }

    pub(crate) fn say(mut self, who: &str, what: What) -> Self {
        self.lines.push(Line { at: self.now(), who: who.to_owned(), what });
        self
    }

    /// Nothing happens for so many steps.
    pub(crate) fn wait(mut self, steps: usize) -> Self {
        for _ in 0..steps {
            self = self.say("world", What::Fault { does: "nothing".to_owned() });
        }
        self
    }

    pub(crate) fn put(self, position: u64, key: &str, created: u64, value: &str) -> Self {
        self.say("oracle", What::Put { position, key: key.to_owned(), created, value: value.to_owned() })
    }

    pub(crate) fn remove(self, position: u64, key: &str) -> Self {
        self.say("oracle", What::Remove { position, key: key.to_owned() })
    }

    pub(crate) fn state(self, index: u64, entries: &[(&str, u64, &str)]) -> Self {
        self.say("oracle", What::State { index, members: members(entries) })
    }

    pub(crate) fn quiet(self, position: u64) -> Self {
        self.say("world", What::Quiet { position })
    }

    pub(crate) fn watching(self, who: &str, dir: &str) -> Self {
        self.say(who, What::Watching { dir: dir.to_owned() })
    }

    pub(crate) fn snapshot(self, who: &str, index: u64, entries: &[(&str, u64, &str)]) -> Self {
        self.say(who, What::Snapshot { index, members: members(entries), cause: "Initial".to_owned() })
    }

    pub(crate) fn told(self, who: &str, index: u64, changes: &[Change]) -> Self {
        self.say(who, What::Changes { index, changes: changes.to_vec() })
    }

    pub(crate) fn announcing(self, who: &str, key: &str) -> Self {
        self.say(who, What::Announcing { key: key.to_owned(), absent: true })
    }

    pub(crate) fn held(self, who: &str, key: &str, token: u64) -> Self {
        self.say(who, What::Held { key: key.to_owned(), token })
    }

    /// It believed in it until just now.
    pub(crate) fn unheld(self, who: &str, key: &str, token: u64) -> Self {
        let last = self.now() - 1;
        self.say(who, What::Unheld { key: key.to_owned(), token, last, state: "Lost".to_owned() })
    }
}
