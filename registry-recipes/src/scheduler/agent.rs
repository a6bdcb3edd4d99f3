//! The node's side: it announces itself, and does what its state says.

use std::sync::Arc;

use registry_core::{
    Backoff, Cause, Condition, Error, ErrorKind, Event, RegisterOptions, Registration, Registry, RegistryExt, Result,
    Scope, Subscription,
};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::driver::{Context, Driver, DriverError, Joined, Member};
use super::layout::Layout;
use super::options::Options;
use super::record::{Record, State};
use super::records::Records;
use super::status::{Status, Stop, Stopping};
use super::twins;

/// How long the agent waits to hear that its new announcement stands. It is written later all the same.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);

/// One step that a state asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Join,
    Rebalance,
}

type Done = (Step, Result<Joined, DriverError>);

pub(super) struct Agent {
    registry: Arc<dyn Registry>,
    announcements: Scope,
    driver: Arc<dyn Driver>,
    /// What is announced.
    own: Record,
    registration: Registration,
    events: Subscription,
    states: Records,
    /// Whether the cluster knew the node before: its data may still be good.
    was_member: bool,
    backoff: Backoff,
    /// Not before this is a failed step tried again.
    rest_until: Option<Instant>,
    status: watch::Sender<Status>,
}

impl Agent {
    /// Announces the node. Returns when that stands; refused while another run of this name lives.
    pub(super) async fn start(
        registry: &Arc<dyn Registry>,
        layout: &Layout,
        own: Record,
        driver: Arc<dyn Driver>,
        options: &Options,
        status: watch::Sender<Status>,
    ) -> Result<Self> {
        let key = layout.announcements.key(&own.session)?;
        let kept = RegisterOptions::new().ttl(options.announcement_ttl).condition(Condition::Absent);
        let announced = registry.announce(key.clone(), own.to_bytes(), kept).await;
        let registration = announced.map_err(|error| match error.kind() {
            ErrorKind::Conflict => twins::duplicate(&key, &own.session).because(error),
            _ => error,
        })?;
        let events = registry.subscribe(&layout.states);
        let backoff = Backoff::new(options.retry.0, options.retry.1);
        status.send_modify(|status| status.registration = registration.status().state);
        Ok(Self {
            registry: Arc::clone(registry),
            announcements: (&layout.announcements).into(),
            driver,
            own,
            registration,
            events,
            states: Records::default(),
            was_member: false,
            backoff,
            rest_until: None,
            status,
        })
    }

    /// Runs until it is told to stop, or until it cannot go on. In both cases the node is failed over first.
    pub(super) async fn run(mut self, mut stopping: Stopping) {
        if let Err(error) = self.follow(&mut stopping).await {
            // Whoever started this hears of it, and says how much time there is to stop.
            self.status.send_modify(|status| status.failure = Some(Arc::new(error)));
        }
        let stop = stopping.asked().await;
        self.leave(stop).await;
    }

    /// Does one step after the other. The heartbeat is the registration's business and waits for none of them.
    async fn follow(&mut self, stopping: &mut Stopping) -> Result<()> {
        let mut held = self.registration.watch();
        // Dropping it ends what is under way.
        let mut work: JoinSet<Done> = JoinSet::new();
        loop {
            if work.is_empty() && self.rest_until.is_none() {
                self.begin(&mut work);
            }
            let rest = async {
                match self.rest_until {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                _ = stopping.asked() => return Ok(()),
                changed = held.changed() => {
                    let now = held.borrow_and_update().clone();
                    self.status.send_modify(|status| status.registration = now.state);
                    if changed.is_err() || now.is_final() {
                        let key = self.registration.key();
                        return Err(Error::new(ErrorKind::Evicted, format!("{key}: the announcement was removed")));
                    }
                }
                event = self.events.next() => match event {
                    Some(event) => {
                        self.states.take(event?);
                        self.tell();
                        self.look_for_a_rival().await;
                    }
                    None => return Err(Error::new(ErrorKind::Unavailable, "the watch of the states ended")),
                },
                Some(done) = work.join_next() => match done {
                    Ok(done) => self.done(done).await,
                    Err(error) => self.failed(&format!("the driver panicked: {error}")),
                },
                () = rest => self.rest_until = None,
            }
        }
    }

    /// Starts the step that is due, if any, in a task of its own.
    fn begin(&self, work: &mut JoinSet<Done>) {
        let (Some(step), Some(context)) = (self.due(), self.context()) else { return };
        let (driver, recover) = (Arc::clone(&self.driver), self.was_member);
        tracing::debug!(session = %self.own.session, ?step, master = %context.master.address, "begins");
        work.spawn(async move {
            let result = match step {
                Step::Join => driver.join(&context).await,
                Step::Rebalance => rebalance(&*driver, &context, recover).await.map(|()| Joined::Anew),
            };
            (step, result)
        });
    }

    fn due(&self) -> Option<Step> {
        let told = self.states.get(&self.own.session)?;
        match (told.desired, self.own.state) {
            // A leader of ours never sends a clustered node back; one of old does, and is obeyed. So this is the word of
            // a leader that has not heard yet how far the node is.
            (State::New, State::Clustered) if told.token.is_some() => None,
            (State::New, State::New) | (State::Clustered, State::Clustered) => None,
            (State::New, _) => Some(Step::Join),
            (State::Clustered, State::New) => Some(Step::Rebalance),
            // `clustered` for a node that has not joined was meant for an earlier run of it.
            _ => None,
        }
    }

    /// `None` as long as it is not known who the master is.
    fn context(&self) -> Option<Context> {
        let members: Vec<_> = self.states.iter().map(member).collect();
        let master = self.states.iter().find(|state| state.master).map(member)?;
        Some(Context { node: self.node(), master, members })
    }

    fn node(&self) -> Member {
        Member { session: self.own.session.clone(), address: self.own.address.clone(), state: self.own.state }
    }

    async fn done(&mut self, done: Done) {
        match done {
            (step, Err(error)) => {
                let name = if step == Step::Join { "join" } else { "rebalance" };
                self.failed(&format!("{name}: {error}"));
            }
            (Step::Join, Ok(joined)) => {
                self.was_member |= joined == Joined::Already;
                self.announce(State::New).await;
            }
            (Step::Rebalance, Ok(_)) => {
                self.was_member = true;
                self.announce(State::Clustered).await;
            }
        }
    }

    fn failed(&mut self, problem: &str) {
        let wait = self.backoff.next_wait();
        self.rest_until = Some(Instant::now() + wait);
        tracing::warn!(session = %self.own.session, "{problem}; trying again in {wait:?}");
        self.status.send_modify(|status| status.problem = Some(problem.to_owned()));
    }

    /// What stands in the registry follows as soon as it can be reached: the keeper writes the latest value.
    async fn announce(&mut self, state: State) {
        self.backoff.reset();
        self.own.state = state;
        if let Ok(Err(error)) = timeout(PATIENCE, self.registration.update(self.own.to_bytes())).await {
            tracing::debug!(%error, "the announcement will follow");
        }
        self.status.send_modify(|status| {
            status.state = state;
            status.problem = None;
        });
    }

    fn tell(&self) {
        let told = self.states.get(&self.own.session);
        let (desired, master) = (told.map(|state| state.desired), told.is_some_and(|state| state.master));
        self.status.send_if_modified(|status| {
            let changed = (status.desired, status.master) != (desired, master);
            (status.desired, status.master) = (desired, master);
            changed
        });
    }

    async fn look_for_a_rival(&mut self) {
        let rival = if twins::is_passed_over(&self.own, &self.states) {
            let Some(announced) = self.announced().await else { return };
            twins::rival(&self.own, &announced)
        } else {
            None
        };
        self.status.send_if_modified(|status| {
            let changed = status.rival != rival;
            if let Some(rival) = rival.as_ref().filter(|_| changed) {
                twins::warn(&self.own, rival);
            }
            status.rival = rival;
            changed
        });
    }

    /// What everybody announces now; `None` when the registry does not tell it soon.
    async fn announced(&self) -> Option<Records> {
        let snapshot = timeout(PATIENCE, self.registry.list(&self.announcements)).await.ok()?.ok()?;
        let mut announced = Records::default();
        announced.take(Event::Snapshot { snapshot, cause: Cause::Initial });
        Some(announced)
    }

    /// Fails over first, while the node is still announced; then takes the announcement away.
    async fn leave(mut self, stop: Stop) {
        if timeout_at(stop.failover_until, self.fail_over()).await.is_err() {
            tracing::warn!(session = %self.own.session, "the failover was not done in time; leaving without");
        }
        match timeout_at(stop.until, self.registration.deregister()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "could not deregister; the time to live will"),
            Err(_) => tracing::warn!("could not deregister in time; the time to live will"),
        }
        self.status.send_modify(|status| status.registration = registry_core::State::Released);
    }

    /// Those that are left to hand anything over to.
    fn context_among(&self, left: &Records) -> Context {
        let members: Vec<_> = left.iter().map(member).collect();
        let is_master = |member: &&Member| self.states.get(&member.session).is_some_and(|state| state.master);
        let master = members.iter().find(is_master).cloned().unwrap_or_else(|| self.node());
        Context { node: self.node(), master, members }
    }

    /// Until it succeeds. There is nobody to hand anything over to when no other node is clustered.
    async fn fail_over(&mut self) {
        if self.own.state != State::Clustered {
            return;
        }
        loop {
            // As everybody announces it now: the leader may not have heard yet who is clustered, and when a whole cluster
            // stops, nodes go one right after the other.
            let announced = self.announced().await;
            if let Some(rival) = announced.as_ref().and_then(|announced| twins::rival(&self.own, announced)) {
                // The cluster knows nodes by their address: it would throw out the one that serves there now.
                tracing::warn!(session = %self.own.session, "{rival} has this node's address now: no failover");
                return;
            }
            let context = self.context_among(announced.as_ref().unwrap_or(&self.states));
            let is_other = |member: &Member| member.session != self.own.session && member.state == State::Clustered;
            if !context.members.iter().any(is_other) {
                tracing::debug!(session = %self.own.session, "the only clustered node: no failover");
                return;
            }
            let Err(error) = self.driver.failover(&context).await else { return };
            let wait = self.backoff.next_wait();
            tracing::warn!(session = %self.own.session, "failover: {error}; trying again in {wait:?}");
            let again = Instant::now() + wait;
            // The next attempt knows the news of the meantime.
            while let Ok(Some(Ok(event))) = timeout_at(again, self.events.next()).await {
                self.states.take(event);
            }
            sleep_until(again).await;
        }
    }
}

async fn rebalance(driver: &dyn Driver, context: &Context, recover: bool) -> Result<(), DriverError> {
    if recover {
        driver.recover(context).await?;
    }
    driver.rebalance(context).await
}

fn member(state: &Record) -> Member {
    Member { session: state.session.clone(), address: state.address.clone(), state: state.state }
}
