//! Who was there when, by the server's order.

use registry_core::{Bytes, Change, Dir, Index, Name};
use tokio::time::Instant;

use crate::support::Oracle;

/// One entry, from its creation to its end.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) name: Name,
    pub(super) value: Bytes,
    pub(super) born: u64,
    pub(super) gone: Option<Gone>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Gone {
    pub(super) at: Instant,
    pub(super) position: u64,
}

impl Life {
    pub(super) fn was_there(&self, position: u64) -> bool {
        self.born <= position && self.gone.is_none_or(|gone| gone.position > position)
    }
}

/// A value that was written, at one point of the history.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) name: Name,
    pub(super) value: Bytes,
    /// The entry came into being with it.
    pub(super) is_new: bool,
    pub(super) at: Instant,
}

/// The lives of all entries of some directories. There is one epoch, and nothing of it is forgotten.
#[derive(Debug)]
pub(super) struct Lives {
    dirs: Vec<(Dir, Vec<Life>)>,
    read: usize,
}

impl Lives {
    pub(super) fn of(dirs: &[Dir]) -> Self {
        Self { dirs: dirs.iter().map(|dir| (dir.clone(), Vec::new())).collect(), read: 0 }
    }

    /// Reads on; returns what was written in `told`.
    pub(super) fn update(&mut self, oracle: &Oracle, told: &Dir) -> Vec<Written> {
        let mut written = Vec::new();
        for revision in &oracle.revisions[self.read..] {
            let (at, position) = (revision.at, revision.index.position());
            for (dir, lives) in &mut self.dirs {
                for change in revision.changes(&(&*dir).into()) {
                    let name = change.name().clone();
                    let known = lives.iter_mut().rev().find(|life| life.name == name && life.gone.is_none());
                    let Change::Put(entry) = change else {
                        if let Some(life) = known {
                            life.gone = Some(Gone { at, position });
                        }
                        continue;
                    };
                    let (born, value) = (entry.index.position(), entry.value);
                    if dir == told {
                        let is_new = born == position;
                        written.push(Written { name: name.clone(), value: value.clone(), is_new, at });
                    }
                    match known {
                        Some(life) if life.born == born => life.value = value,
                        known => {
                            // Taken over by somebody else.
                            if let Some(life) = known {
                                life.gone = Some(Gone { at, position });
                            }
                            lives.push(Life { name, value, born, gone: None });
                        }
                    }
                }
            }
        }
        self.read = oracle.revisions.len();
        written
    }

    pub(super) fn all(&self, dir: &Dir) -> &[Life] {
        self.dirs.iter().find(|(other, _)| other == dir).map_or(&[], |(_, lives)| lives)
    }

    /// The life that began here.
    pub(super) fn born_at(&self, dir: &Dir, token: Index) -> &Life {
        let lives = self.all(dir);
        let found = lives.binary_search_by_key(&token.position(), |life| life.born);
        found.map_or_else(|_| panic!("nothing came into being in {dir} at {token:#}: {lives:?}"), |at| &lives[at])
    }

    /// How many of those who came earlier were there in the last moment of this life; now, if it goes on. Nobody enters before
    /// somebody who is there, so there never were fewer before.
    pub(super) fn ahead(&self, dir: &Dir, life: &Life) -> usize {
        let until = life.gone.map(|gone| gone.position);
        let is_ahead = |other: &&Life| {
            other.born < life.born && other.gone.is_none_or(|gone| until.is_some_and(|until| gone.position > until))
        };
        self.all(dir).iter().filter(is_ahead).count()
    }

    /// Those that are there now, the oldest first.
    pub(super) fn living(&self, dir: &Dir) -> Vec<&Life> {
        self.all(dir).iter().filter(|life| life.gone.is_none()).collect()
    }
}
