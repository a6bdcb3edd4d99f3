//! A store, those who use it, the oracle, and what was written down.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use registry::{Dir, Key, Registry};
use tokio::time::{Instant, sleep};

use super::churn::Churn;
use crate::Result;
use crate::checker::{Rule, Verdict, check};
use crate::history::{History, Line, Recorder, What, now};
use crate::oracle::Oracle;
use crate::stores::{Kind, Link, Store};
use crate::subjects::{Client, Context, Role};

/// How long after the last sign of life of anybody the beliefs of everybody are written down.
const LOOKS: Duration = Duration::from_millis(300);

/// One run.
#[derive(Debug)]
pub struct World {
    /// The store.
    pub store: Store,
    /// A connection that no fault touches.
    pub direct: Arc<dyn Registry>,
    /// Those who use it.
    pub clients: Vec<Client>,
    /// What the schedule draws from.
    pub random: fastrand::Rng,
    /// Where everything is written.
    pub history: History,
    pub(super) oracle: Oracle,
    pub(super) churn: Option<Churn>,
    pub(super) notes: Recorder,
}

/// What a run has shown.
#[derive(Debug)]
pub struct Outcome {
    /// What the checker says.
    pub verdict: Verdict,
    /// What runs, for a person.
    pub server: String,
}

impl World {
    /// Starts a store with nobody in it yet.
    ///
    /// # Errors
    /// When no server can be had, or the history not be written.
    pub async fn start(kind: Kind, schedule: &str, seed: u64, history: &Path) -> Result<Self> {
        let store = Store::start(kind).await?;
        let history = History::create(history)?;
        let direct = store.direct()?;
        // The embedded store is made by whoever uses it first.
        direct.list(&Dir::new("/nothing")?.into()).await?;
        let notes = history.recorder("world");
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        notes.record(What::Begin {
            seed,
            store: kind.to_string(),
            schedule: schedule.to_owned(),
            mode: kind.mode(),
            // Where a network can keep back the watch and let the list through.
            compares: kind.has_server(),
            ttl: micros(kind.ttl()),
            // As long as it may go on believing after the last renewal, and room for a busy machine.
            notice: micros(kind.ttl() + Duration::from_secs(3)),
            overlap: micros(kind.overlap().0),
            overlap_of_parts: micros(kind.overlap().1),
        });
        let mut oracle = Oracle::start(&store, &history)?;
        oracle.drain().await?;
        let random = fastrand::Rng::with_seed(seed);
        Ok(Self { store, direct, clients: Vec::new(), random, history, oracle, churn: None, notes })
    }

    /// Adds somebody with a way of his own to the store.
    ///
    /// # Errors
    /// When the way or the client cannot be made.
    pub async fn add<S, F>(&mut self, name: &str, subject: S) -> Result<()>
    where
        S: FnOnce(Context) -> F + Send + 'static,
        F: Future<Output = ()>,
    {
        let link = Arc::new(Link::to(&self.store, self.clients.len()).await?);
        self.clients.push(Client::start(name, link, &self.history, subject)?);
        Ok(())
    }

    /// Adds somebody as a process of its own.
    ///
    /// # Errors
    /// When the way or the process cannot be made.
    pub async fn spawn(&mut self, name: &str, role: Role) -> Result<()> {
        let link = Arc::new(Link::to(&self.store, self.clients.len()).await?);
        self.clients.push(Client::spawn(name, link, &self.store, &self.history, role)?);
        Ok(())
    }

    /// Members of this directory come, change and go from now on.
    pub fn churn(&mut self, dir: Dir) {
        let (ttl, seed) = (self.store.kind().ttl(), self.random.u64(..));
        self.churn = Some(Churn::start(Arc::clone(&self.direct), dir, ttl, seed));
    }

    /// Writes down what the schedule does.
    pub fn note(&self, does: impl Into<String>) {
        self.notes.record(What::Fault { does: does.into() });
    }

    /// Removes an entry as an administrator does.
    pub async fn evict(&self, key: &Key) {
        self.notes.record(What::Evicting { key: key.to_string() });
        // While the server is away there is nobody to remove it; then there is nothing to be seen either.
        let _ = self.direct.remove(key).await;
    }

    /// Returns when the oracle has read everything up to now.
    ///
    /// # Errors
    /// When the server does not answer for a minute.
    pub async fn drain(&mut self) -> Result<u64> {
        self.oracle.drain().await
    }

    /// Waits until the checker finds nothing that is owed, for at most `limit`: then it shows who never caught up.
    ///
    /// # Errors
    /// When the server does not come back.
    pub async fn settle(&mut self, limit: Duration) -> Result<()> {
        self.churn = None;
        for client in &self.clients {
            client.link().heal();
        }
        let begun = Instant::now();
        loop {
            let position = self.oracle.drain().await?;
            sleep(LOOKS).await;
            let mut lines = self.history.lines()?;
            lines.push(Line { at: now(), who: "world".to_owned(), what: What::Quiet { position } });
            let verdict = tokio::task::spawn_blocking(move || check(&lines)).await?;
            let owed = |rule: &Rule| matches!(rule, Rule::W4 | Rule::R3 | Rule::B2 | Rule::T1);
            if !verdict.rules().iter().any(owed) || begun.elapsed() > limit {
                self.notes.record(What::Quiet { position });
                sleep(LOOKS).await;
                return Ok(());
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Heals everything, waits until all have caught up, ends everybody and checks what they wrote.
    ///
    /// # Errors
    /// When the run itself went wrong.
    pub async fn finish(mut self, limit: Duration) -> Result<Outcome> {
        self.settle(limit).await?;
        for client in std::mem::take(&mut self.clients) {
            client.stop().await;
        }
        self.oracle.drain().await?;
        let lines = self.history.finish()?;
        let verdict = tokio::task::spawn_blocking(move || check(&lines)).await?;
        Ok(Outcome { verdict, server: self.store.describe() })
    }
}
