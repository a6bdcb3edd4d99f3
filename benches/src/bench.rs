//! What every row works with.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use clap::Args;

use crate::Result;
use crate::contestants::Peer;
use crate::harness::Noise;
use crate::stores::{Kind, Store};

/// The programs that are measured.
#[derive(Args, Clone, Debug)]
pub(crate) struct Programs {
    /// The program. Without this, the one beside this program is taken.
    #[arg(long, value_name = "FILE", env = "BENCH_PROGRAM")]
    program: Option<PathBuf>,
}

/// What every row works with.
pub(crate) struct Bench {
    /// The release build of `cluster-control`.
    pub(crate) program: PathBuf,
    /// The minimal programs on the raw clients.
    pub(crate) floor: PathBuf,
    /// The user of the library.
    pub(crate) subscriber: PathBuf,
    pub(crate) peers: Vec<Peer>,
    /// A minute's worth only.
    pub(crate) quick: bool,
    /// Only these stores; all of them when empty.
    on: Vec<Kind>,
    noise: Mutex<Noise>,
    servers: Mutex<Vec<String>>,
}

impl Bench {
    pub(crate) fn new(programs: Programs, quick: bool, on: Vec<Kind>, peers: Vec<Peer>) -> Result<Self> {
        let own = std::env::current_exe()?;
        let program = programs.program.unwrap_or_else(|| own.with_file_name("cluster-control"));
        let (floor, subscriber) = (own.with_file_name("floor"), own.with_file_name("subscriber"));
        for file in [&program, &floor, &subscriber] {
            if !file.exists() {
                let file = file.display();
                return Err(format!("{file} is not there: `make bench` builds it").into());
            }
        }
        let (mut noise, servers) = (Noise::new(), Mutex::default());
        noise.listen();
        let noise = Mutex::new(noise);
        Ok(Self { program, floor, subscriber, peers, quick, on, noise, servers })
    }

    /// The stores that a row runs on. A quick run leaves out Consul, whose start alone takes seconds, unless it was asked for.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        let is_left_out = |kind| self.quick && self.on.is_empty() && kind == Kind::Consul;
        Kind::ALL.into_iter().filter(|&kind| self.is_wanted(kind) && !is_left_out(kind)).collect()
    }

    /// Whether this store was asked for.
    pub(crate) fn is_wanted(&self, kind: Kind) -> bool {
        self.on.is_empty() || self.on.contains(&kind)
    }

    /// How often something is done: the whole number, or that of a quick run.
    pub(crate) fn rounds(&self, whole: usize, quick: usize) -> usize {
        if self.quick { quick } else { whole }
    }

    /// Measures how disturbed the machine is. Each row calls it once for each of its rounds, while nothing is measured.
    pub(crate) fn listen_for_noise(&self) {
        self.noise().listen();
    }

    /// Notes which server was used, for the report.
    pub(crate) fn used(&self, store: &Store) {
        let (mut servers, server) = (self.servers.lock().unwrap_or_else(PoisonError::into_inner), store.describe());
        if !servers.contains(&server) {
            servers.push(server);
        }
    }

    pub(crate) fn servers(&self) -> Vec<String> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn noise(&self) -> MutexGuard<'_, Noise> {
        self.noise.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
