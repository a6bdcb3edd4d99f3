//! The trials that every backend must pass: each promise of the contract as plain async functions.
//!
//! A backend's test names its [`Subject`], asks [`trials`] for the list, and runs each trial that
//! [applies](Trial::applies) to its capabilities. A trial fails by panicking with what it expected and what it saw.
//!
//! ```no_run
//! # async fn all(subject: std::sync::Arc<dyn registry_core::conformance::Subject>) {
//! use registry_core::conformance::{Bench, trials};
//! for trial in trials() {
//!     let bench = Bench::new(&subject, trial.name).await;
//!     if trial.applies(&bench) {
//!         trial.run(bench).await;
//!     }
//! }
//! # }
//! ```

mod announcing;
mod contract;
mod gate;
mod grace;
mod leases;
mod list;
mod reading;
mod runtimes;
mod sharing;
mod states;
mod subscribing;
mod support;
mod watching;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use crate::name::Dir;
use crate::options::{Capabilities, WatchKind};
use crate::registry::Registry;
pub use gate::Gate;
use list::Needs;
pub use list::trials;

/// The store under test.
#[async_trait]
pub trait Subject: Send + Sync + 'static {
    /// A connection of its own to the store, as another process would have it.
    async fn connect(&self) -> Arc<dyn Registry>;

    /// Makes the store forget the history up to now. False: it cannot be told to.
    async fn compact(&self) -> bool {
        false
    }

    /// For a static registry: a directory and the sorted names that are in it.
    fn fixed(&self) -> Option<(Dir, Vec<String>)> {
        None
    }
}

/// What one trial works with: two connections and a directory of its own.
pub struct Bench {
    /// The registry under test.
    pub registry: Arc<dyn Registry>,
    /// Another connection to the same store.
    pub other: Arc<dyn Registry>,
    /// A directory that nobody else uses; for a static registry the one that is not empty.
    pub dir: Dir,
    /// The store.
    pub subject: Arc<dyn Subject>,
}

impl Bench {
    /// Connects twice and finds an unused directory for the trial `name`.
    ///
    /// # Panics
    /// When the name of a trial is no valid segment.
    pub async fn new(subject: &Arc<dyn Subject>, name: &str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let fresh = || Dir::new(&format!("/conformance/{name}-{}-{count}", std::process::id())).expect("a valid path");
        let dir = subject.fixed().map_or_else(fresh, |(dir, _)| dir);
        let (registry, other) = (subject.connect().await, subject.connect().await);
        Self { registry, other, dir, subject: Arc::clone(subject) }
    }

    /// The same, but every call goes through the forwarding implementation for `Arc`.
    pub fn through_arc(mut self) -> Self {
        self.registry = Arc::new(self.registry);
        self
    }

    fn able(&self) -> Capabilities {
        self.registry.capabilities()
    }

    /// True when a watch delivers every change, and not only states.
    fn every_change(&self) -> bool {
        self.able().watch == WatchKind::Events
    }

    /// The shortest time to live that leaves room for a slow machine.
    fn ttl(&self) -> Duration {
        self.able().ttl_min.max(Duration::from_secs(2))
    }
}

type Run = fn(Bench) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// One trial.
#[derive(Clone, Copy)]
pub struct Trial {
    /// Its name.
    pub name: &'static str,
    needs: &'static [Needs],
    run: Run,
}

impl Trial {
    /// False when the backend does not claim the ability that is tried.
    pub fn applies(&self, bench: &Bench) -> bool {
        self.applies_to(&bench.able())
    }

    /// False when the capability that is tried is not claimed.
    pub fn applies_to(&self, able: &Capabilities) -> bool {
        self.needs.iter().all(|needs| needs.are_met_by(able))
    }

    /// Runs it. A trial that takes longer than three minutes has failed.
    ///
    /// # Panics
    /// When the promise is broken.
    pub async fn run(&self, bench: Bench) {
        let limit = Duration::from_mins(3);
        assert!(
            tokio::time::timeout(limit, (self.run)(bench)).await.is_ok(),
            "the trial {} did not end within {limit:?}",
            self.name
        );
    }
}
