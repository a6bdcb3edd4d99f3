//! Who lives in a world.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use registry::{Dir, Key};

use crate::Result;
use crate::fire::World;
use crate::history::Mode;
use crate::stores::Kind;
use crate::subjects::{Resource, Role, hold};

/// So many locks are contended for, and half as many offices, where they are kept for long.
const LOCKS: usize = 8;

/// Which subjects a run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cast {
    /// Watchers, registrars (two of whom want one name), and members that come and go.
    Registry,
    /// Contenders for a lock, and members of partitions.
    Recipes,
    /// Those who keep locks and offices for long, members of partitions, and nodes of a scheduler.
    Keepers,
}

impl Cast {
    /// Which promises its histories are checked for.
    pub fn checked(self, kind: Kind) -> &'static str {
        match (self, kind.mode()) {
            (Self::Registry, Mode::Events) => "W1–W5 R1–R4 U1 S1",
            (Self::Registry, Mode::States) => "W1–W5 (states) R2–R4 U1 S1",
            (Self::Recipes, _) => "L1–L3 B1–B3 S1",
            (Self::Keepers, _) => "L1 L3 B1–B3 T1",
        }
    }
}

impl fmt::Display for Cast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Registry => "registry",
            Self::Recipes => "recipes",
            Self::Keepers => "keepers",
        })
    }
}

/// One of them, so that it can be replaced by its like.
#[derive(Clone, Debug)]
enum Place {
    /// A thread, or a process, with a role of its own.
    Own { role: Role, process: bool },
    /// A contender for the lock, who shares what it guards with the others.
    Contender,
}

/// What all of them share.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) dir: Dir,
    pub(super) names: Vec<Key>,
    lock: Dir,
    resource: Arc<Resource>,
    /// The place of each client of the world.
    places: Vec<Place>,
}

impl Stage {
    pub(super) async fn set(world: &mut World, cast: Cast) -> Result<Self> {
        let dir = Dir::new("/fire/members")?;
        let name = |name| dir.key(name);
        let names = vec![name("r0")?, name("r1")?, name("r2")?, name("shared")?];
        let (lock, resource) = (Dir::new("/fire/lock")?, Arc::default());
        let mut stage = Self { dir: dir.clone(), names, lock, resource, places: Vec::new() };
        let thread = |role| Place::Own { role, process: false };
        let process = |role| Place::Own { role, process: true };
        let watcher = || Role::Watcher(dir.clone());
        let registrar = |name: &str| dir.key(name).map(Role::Registrar);
        let member = || Role::Member("fire/joined".to_owned());
        let claimant = || Role::Claimant("fire/claimed".to_owned());
        let (kept, nodes) = (Dir::new("/fire/kept")?, Dir::new("/fire/nodes")?);
        let holder = || Role::Holder(kept.clone(), LOCKS);
        let node = || Role::Node(nodes.clone());
        let places = match cast {
            Cast::Registry => vec![
                ("watcher-0", thread(watcher())),
                ("watcher-1", thread(watcher())),
                ("watcher-2", process(watcher())),
                ("registrar-0", thread(registrar("r0")?)),
                ("registrar-1", thread(registrar("r1")?)),
                ("registrar-2", process(registrar("r2")?)),
                ("rival-0", thread(registrar("shared")?)),
                ("rival-1", thread(registrar("shared")?)),
            ],
            Cast::Recipes => vec![
                ("contender-0", Place::Contender),
                ("contender-1", Place::Contender),
                ("contender-2", Place::Contender),
                ("member-0", thread(member())),
                ("member-1", thread(member())),
                ("member-2", process(member())),
                ("claimant-0", thread(claimant())),
                ("claimant-1", process(claimant())),
            ],
            Cast::Keepers => vec![
                ("holder-0", thread(holder())),
                ("holder-1", thread(holder())),
                ("holder-2", process(holder())),
                ("member-0", thread(member())),
                ("member-1", thread(member())),
                ("member-2", process(member())),
                ("claimant-0", thread(claimant())),
                ("claimant-1", thread(claimant())),
                ("claimant-2", process(claimant())),
                ("node-0", thread(node())),
                ("node-1", thread(node())),
                ("node-2", process(node())),
            ],
        };
        for (name, place) in places {
            stage.enter(world, name, place).await?;
        }
        if cast == Cast::Registry {
            world.churn(stage.dir.clone());
        }
        Ok(stage)
    }

    async fn enter(&mut self, world: &mut World, name: &str, place: Place) -> Result<()> {
        let kind = world.store.kind();
        self.places.push(place.clone());
        match place {
            Place::Own { role, process: true } => world.spawn(name, role).await,
            Place::Own { role, process: false } => world.add(name, move |context| role.play(context, kind)).await,
            Place::Contender => {
                let (dir, resource) = (self.lock.clone(), Arc::clone(&self.resource));
                world.add(name, move |context| hold(context, dir, kind.ttl(), resource)).await
            }
        }
    }

    /// Kills a process and one more, and puts their likes in their places after a while. A watcher begins anew; a registrar
    /// or a member takes the old one's name, as a container that is started again does.
    pub(super) async fn replace(&mut self, world: &mut World) -> Result<()> {
        let any = world.random.usize(..world.clients.len());
        let processes: Vec<_> = (0..world.clients.len()).filter(|at| world.clients[*at].is_process()).collect();
        let process = processes[world.random.usize(..processes.len())];
        let mut places = vec![any, process];
        places.sort_unstable_by(|a, b| b.cmp(a));
        places.dedup();
        let mut gone = Vec::new();
        for at in places {
            let (client, place) = (world.clients.remove(at), self.places.remove(at));
            let name = client.name().to_owned();
            world.note(format!("killed: {name}"));
            client.crash().await;
            gone.push((name, place));
        }
        tokio::time::sleep(Duration::from_millis(world.random.u64(..1500))).await;
        for (name, place) in gone {
            self.enter(world, &name, place).await?;
        }
        Ok(())
    }
}
