//! One leader among candidates, and everybody knows who.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use registry_core::{Bytes, Dir, Index, Name, Registry, RegistryExt, Result, Subscription};

use crate::line::Line;
use crate::lock::Guard;
use crate::view::View;

/// An election: of those who campaign, the one who came first leads until it resigns, dies or is cut off.
///
/// The guarantee and its limits are those of a [`Lock`](crate::Lock): act only while [`Guard::held`], and pass
/// [`Guard::token`] with each write for the receiver to check.
#[derive(Clone, Debug)]
pub struct Election {
    line: Line,
}

impl Election {
    /// The election of a directory, which must hold nothing else.
    pub fn new<R: Registry + ?Sized>(registry: Arc<R>, dir: Dir) -> Self {
        Self { line: Line::new(registry, dir) }
    }

    /// How long the office stays taken when the leader dies; [`DEFAULT_TTL`](registry_core::DEFAULT_TTL) unless told.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.line.ttl = Some(ttl);
        self
    }

    /// How long a campaign lasts; until it is won unless told. Without any patience, an office that is free is still won.
    pub fn patience(mut self, limit: Duration) -> Self {
        self.line.patience = Some(limit);
        self
    }

    /// Stands for the office until it is won. `value` is what observers are told of the leader, such as its address.
    ///
    /// Cancel safe: dropping the future withdraws the candidacy.
    ///
    /// # Errors
    /// As [`Lock::acquire`](crate::Lock::acquire).
    pub async fn campaign(&self, value: impl Into<Bytes>) -> Result<Leadership> {
        let won = self.campaign_unless(std::future::pending(), value).await?;
        // Nobody gives up.
        won.ok_or_else(|| self.line.too_late())
    }

    /// Stands for the office until `giving_up` ends, and has withdrawn before it returns `None`.
    ///
    /// # Errors
    /// As [`campaign`](Election::campaign).
    pub async fn campaign_unless(
        &self,
        giving_up: impl Future<Output = ()>,
        value: impl Into<Bytes>,
    ) -> Result<Option<Leadership>> {
        let turn = self.line.turn(value.into(), giving_up).await?;
        Ok(turn.map(|turn| Leadership { guard: Guard { turn } }))
    }

    /// Who leads now; `None`: nobody.
    ///
    /// # Errors
    /// As the backend says, when it could not be asked.
    pub async fn leader(&self) -> Result<Option<Leader>> {
        let mut view = View::default();
        view.replace(self.line.registry.list(&self.line.dir.clone().into()).await?);
        Ok(leader(&view))
    }

    /// Follows who leads. Needs no candidacy.
    pub fn observe(&self) -> Observer {
        Observer {
            events: self.line.registry.subscribe(&self.line.dir),
            view: View::default(),
            told: None,
            has_told: false,
        }
    }
}

/// The office is held: a [`Guard`] whose token is that of the term. Dropping it resigns in the background; the time to live
/// is the backstop.
#[derive(Debug)]
pub struct Leadership {
    guard: Guard,
}

impl Leadership {
    /// Tells the observers another value. The term goes on.
    ///
    /// # Errors
    /// As [`Registration::update`](registry_core::Registration::update).
    pub async fn proclaim(&self, value: impl Into<Bytes>) -> Result<()> {
        self.guard.turn.registration.update(value.into()).await
    }

    /// Gives up the office. The next candidate leads at once.
    ///
    /// # Errors
    /// When the registry could not be told; then the time to live ends the term.
    pub async fn resign(self) -> Result<()> {
        self.guard.release().await
    }
}

impl Deref for Leadership {
    type Target = Guard;

    fn deref(&self) -> &Guard {
        &self.guard
    }
}

impl From<Leadership> for Guard {
    fn from(leadership: Leadership) -> Self {
        leadership.guard
    }
}

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// The name of its entry, which is random.
    pub name: Name,
    /// What it tells of itself. It comes from outside.
    pub value: Bytes,
    /// The fencing token of its term.
    pub token: Index,
}

/// Follows who leads. Dropping it ends the watch.
#[derive(Debug)]
pub struct Observer {
    events: Subscription,
    view: View,
    told: Option<Leader>,
    has_told: bool,
}

impl Observer {
    /// The leader, as soon as it is known, and then whenever it or its value has changed. During an outage the last known
    /// one stands. `None` after an error. Cancel safe.
    ///
    /// # Errors
    /// Only what is permanent, such as bad credentials.
    pub async fn next(&mut self) -> Option<Result<Option<Leader>>> {
        loop {
            match self.events.next().await? {
                Ok(event) => self.view.take(event),
                Err(error) => return Some(Err(error)),
            }
            let now = leader(&self.view);
            if self.view.is_known() && !(self.has_told && self.told == now) {
                self.has_told = true;
                self.told.clone_from(&now);
                return Some(Ok(now));
            }
        }
    }
}

fn leader(view: &View) -> Option<Leader> {
    let entry = view.first()?;
    Some(Leader { name: entry.name.clone(), value: entry.value.clone(), token: entry.index })
}
