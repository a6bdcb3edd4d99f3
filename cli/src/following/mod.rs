//! The members of the watched clusters, listed once and then followed.

mod memory;
mod reader;
mod view;

use std::time::Duration;

use registry::{Registry, RegistryExt, Scope, Snapshot};
use registry_handlers::{Known, Memberships};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::configuration::{Configuration, WatchSpec};
use crate::connecting::Session;
use crate::exit::Outcome;
use crate::patience::patiently;
pub(crate) use memory::Memory;
use reader::Reader;
pub(crate) use view::{View, say};

/// How long it may take to note who is a member, when the program ends.
const NOTE_LIMIT: Duration = Duration::from_millis(500);

/// Follows clusters until it is dropped.
#[derive(Debug)]
pub(crate) struct Following {
    pub(crate) memberships: Memberships,
    /// What was listed, until it is followed.
    listed: Vec<Listed>,
    readers: Vec<Reader>,
    tasks: JoinSet<()>,
    memory: Memory,
}

/// A cluster that was listed.
#[derive(Debug)]
struct Listed {
    watch: WatchSpec,
    snapshot: Snapshot,
    /// Who was known before, where some of them may be missing only because they could not renew.
    before: Option<Snapshot>,
}

/// What is known already, for a configuration that follows another one.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    memberships: Memberships,
    /// Each with whether its view is certain.
    watches: Vec<(WatchSpec, bool)>,
}

impl Following {
    /// Lists every cluster, so that each has a state that was the truth. Waits for the registry up to `limit`. Members that an
    /// earlier run knew are kept for the grace when they may be missing because they could not renew.
    pub(crate) async fn list(
        registry: &dyn Registry,
        configuration: &Configuration,
        watches: Vec<WatchSpec>,
        memory: Memory,
        limit: Duration,
    ) -> Outcome<Self> {
        let memberships = Memberships::new();
        let mut listed = Vec::new();
        for watch in watches {
            let known = memory.load(&watch).await;
            let cluster = list(registry, configuration, watch, known, limit).await?;
            memberships.replace(&cluster.watch.name, &cluster.with_missing());
            listed.push(cluster);
        }
        Ok(Self { memberships, listed, readers: Vec::new(), tasks: JoinSet::new(), memory })
    }

    /// What a following of another configuration can go on with.
    pub(crate) fn kept(&self) -> Kept {
        let watches = self.readers.iter().map(|reader| (reader.watch.clone(), reader.is_certain())).collect();
        Kept { memberships: self.memberships.clone(), watches }
    }

    /// As [`list`](Self::list), beside one that goes on: what both follow is not listed again, so a registry that cannot be
    /// reached is no obstacle. Nothing changes before it [takes over](Self::take_over).
    pub(crate) async fn list_beside(
        kept: Kept,
        registry: &dyn Registry,
        configuration: &Configuration,
        memory: Memory,
        limit: Duration,
    ) -> Outcome<Self> {
        let mut listed = Vec::new();
        for watch in &configuration.watches {
            if kept.watches.iter().any(|(other, _)| other == watch) {
                continue;
            }
            let same = kept.watches.iter().find(|(other, _)| other.dir == watch.dir);
            let known = same.and_then(|(other, is_certain)| {
                let membership = kept.memberships.get(&other.name)?;
                Some(Known::new(&membership, *is_certain, Duration::ZERO))
            });
            listed.push(list(registry, configuration, watch.clone(), known, limit).await?);
        }
        Ok(Self { memberships: kept.memberships, listed, readers: Vec::new(), tasks: JoinSet::new(), memory })
    }

    /// Goes on with the readers of an earlier configuration that are still wanted, and ends the others.
    pub(crate) fn take_over(&mut self, earlier: Self, watches: &[WatchSpec]) {
        let Self { readers, tasks, .. } = earlier;
        self.tasks = tasks;
        for reader in readers {
            if watches.contains(&reader.watch) {
                self.readers.push(reader);
            } else {
                reader.abort();
            }
        }
        for cluster in &self.listed {
            self.memberships.replace(&cluster.watch.name, &cluster.with_missing());
        }
    }

    /// Returns when one of the readers has gone by a panic. Cancel safe.
    pub(crate) async fn broken(&mut self) {
        loop {
            match self.tasks.join_next().await {
                Some(Err(error)) if error.is_panic() => return,
                // What its registry refuses for good is said by the reader itself.
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Takes every change in from now on; none that came since the list is missed.
    pub(crate) fn start(&mut self, session: &Session, configuration: &Configuration) {
        for cluster in self.listed.drain(..) {
            let Listed { watch, snapshot, before } = cluster;
            let options = configuration.subscribe_options(&watch);
            let mut events = session.registry.subscribe_from(&watch.dir, snapshot, options);
            if let Some(before) = before {
                events = events.with_known(&before);
            }
            let note = self.memory.note(&watch);
            self.readers.push(Reader::start(&mut self.tasks, watch, events, self.memberships.clone(), note));
        }
    }

    /// Ends it, and notes who is a member for the next run.
    pub(crate) async fn stop(mut self) {
        for reader in self.readers.drain(..) {
            reader.end();
        }
        let all = async { while self.tasks.join_next().await.is_some() {} };
        // A disk that hangs.
        let _ = timeout(NOTE_LIMIT, all).await;
    }
}

/// Lists one cluster, and judges who may be missing in the list.
async fn list(
    registry: &dyn Registry,
    configuration: &Configuration,
    watch: WatchSpec,
    known: Option<Known>,
    limit: Duration,
) -> Outcome<Listed> {
    let scope = Scope::from(&watch.dir);
    let snapshot = patiently(registry, limit, || registry.list(&scope)).await?;
    let may_be_missing = |known: &Known| {
        let is_same = known.snapshot.index.same_epoch(snapshot.index)
            && known.snapshot.index.position() <= snapshot.index.position();
        // As for a subscription that was interrupted: an outage in which members may have expired.
        let is_long = registry.capabilities().may_have_expired(known.age);
        !configuration.grace(&watch).is_zero() && (!known.is_certain || !is_same || is_long)
    };
    let before = known.filter(may_be_missing).map(|known| known.snapshot);
    Ok(Listed { watch, snapshot, before })
}

impl Listed {
    /// The list, with who was known before and is missing.
    fn with_missing(&self) -> Snapshot {
        let mut whole = self.snapshot.clone();
        if let Some(before) = &self.before {
            let missing = before
                .entries
                .iter()
                .filter(|entry| self.snapshot.entries.binary_search_by(|listed| listed.name.cmp(&entry.name)).is_err());
            whole.entries.extend(missing.cloned());
            whole.entries.sort_by(|a, b| a.name.cmp(&b.name));
        }
        whole
    }
}
