//! Everything side by side, until something ends it.

use std::time::Duration;

use processes::{Processes, Running, Signal, Status};
use registry_handlers::Setup;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinError;
use tokio::time::sleep;

use super::Prepared;
use super::health::{Condition, Watcher};
use super::registering::Registering;
use super::reloading::{Fresh, Latest, Source, reload};
use super::signals::Asked;
use super::writing::Writing;
use crate::arguments::{Global, Own};
use crate::configuration::OnFail;
use crate::connecting::Session;
use crate::exit::{ERROR, EVICTED, OK, Outcome, code_of};
use crate::following::Following;

/// How long what the child left behind has to end by itself.
const ORPHANS: Duration = Duration::from_millis(500);

/// What ended the waiting.
enum Ended {
    Child(Status),
    Asked {
        drain: bool,
    },
    Evicted,
    Unhealthy,
    /// A part of this program has gone by a panic. The rest must not go on as if it were whole.
    Broken,
}

pub(super) struct Supervisor {
    session: Session,
    given: Own,
    setup: Setup,
    child: Running,
    ready: watch::Sender<bool>,
    following: Following,
    writing: Writing,
    registering: Registering,
    health: Watcher,
    reloading: Latest<Outcome<Fresh>>,
}

impl Supervisor {
    /// Starts everything that goes on beside the child.
    pub(super) fn new(prepared: Prepared, given: Own, child: Running) -> Self {
        let Prepared { session, own, setup, handlers, mut following, ready } = prepared;
        let configuration = &session.configuration;
        let writing = Writing::start(handlers, &following.memberships);
        following.start(&session, configuration);
        let registering = Registering::start(session.registry.clone(), own);
        let health = Watcher::start(configuration.ready.clone(), configuration.health.clone(), setup.processes.clone());
        let reloading = Latest::new();
        Self { session, given, setup, child, ready, following, writing, registering, health, reloading }
    }

    /// `reload`: it was asked for before there was a child.
    pub(super) async fn run(mut self, mut asked: mpsc::UnboundedReceiver<Asked>, reload: bool) -> Outcome {
        if reload {
            self.reload();
        }
        let ended = self.wait(&mut asked).await;
        // What is under way would only delay the end.
        self.reloading.abort();
        let (status, code) = match ended {
            Ended::Child(status) => {
                tracing::info!("the child ended by itself: {status}");
                self.registering.stop().await;
                (status, None)
            }
            Ended::Asked { drain } => (self.stop(drain, &mut asked).await, None),
            Ended::Unhealthy => (self.stop(false, &mut asked).await, None),
            Ended::Evicted => {
                tracing::warn!("evicted: stopping");
                (self.stop(true, &mut asked).await, Some(EVICTED))
            }
            Ended::Broken => {
                tracing::error!("a part of this program has broken down: stopping");
                (self.stop(true, &mut asked).await, Some(ERROR))
            }
        };
        tokio::join!(self.writing.stop(), self.following.stop());
        sweep(&self.setup.processes).await;
        let own = code_of(status);
        let success = self.session.configuration.child.success_codes.contains(&own);
        Ok(code.unwrap_or(if success { OK } else { own }))
    }

    /// Nothing is awaited in here but what ends it and what it is told: what a signal or an event asks for is done at once, or
    /// in a task.
    async fn wait(&mut self, asked: &mut mpsc::UnboundedReceiver<Asked>) -> Ended {
        loop {
            tokio::select! {
                status = self.child.wait() => return Ended::Child(status),
                is_evicted = self.registering.ended() => return if is_evicted { Ended::Evicted } else { Ended::Broken },
                () = self.following.broken() => return Ended::Broken,
                changed = self.health.condition.changed() => {
                    let condition = *self.health.condition.borrow_and_update();
                    if changed.is_err() {
                        return Ended::Broken;
                    }
                    if self.judged(condition) {
                        return Ended::Unhealthy;
                    }
                }
                (reloaded, again) = self.reloading.ended() => {
                    if self.reloaded(reloaded).is_err() {
                        return Ended::Broken;
                    }
                    if again {
                        self.reload();
                    }
                }
                signal = asked.recv() => match signal {
                    Some(Asked::Stop(_)) | None => return Ended::Asked { drain: true },
                    Some(Asked::StopNow(_)) => return Ended::Asked { drain: false },
                    Some(Asked::Reload) => self.reload(),
                    Some(Asked::Forward(signal)) => {
                        if let Err(error) = self.child.signal(signal) {
                            tracing::debug!("cannot forward {signal}: {error}");
                        }
                    }
                },
            }
        }
    }

    /// Acts on the child's condition. True: it must be stopped.
    fn judged(&self, condition: Condition) -> bool {
        let healthy = condition == Condition::Healthy;
        if healthy {
            self.ready.send_replace(true);
        }
        let on_fail = self.session.configuration.health.as_ref().map(|health| health.on_fail);
        if condition == Condition::Unhealthy && on_fail == Some(OnFail::Stop) {
            return true;
        }
        self.registering.want(healthy);
        false
    }

    /// Deregister, drain, signal, wait, kill. A second request skips the drain, a third one the waiting.
    async fn stop(&mut self, drain: bool, asked: &mut mpsc::UnboundedReceiver<Asked>) -> Status {
        self.registering.stop().await;
        let child = self.session.configuration.child.clone();
        if drain && self.registering.has_entry() && !child.drain().is_zero() {
            tokio::select! {
                () = sleep(child.drain()) => {}
                status = self.child.wait() => return status,
                () = insisted(asked) => {}
            }
        }
        tokio::select! {
            status = self.child.stop(child.stop_signal(), child.stop_timeout()) => status,
            () = insisted(asked) => self.child.stop(Signal::KILL, Duration::ZERO).await,
        }
    }

    /// Begins to read the configuration again, beside everything else.
    fn reload(&mut self) {
        // The same file as before, also where it was found without being named: one that is gone is an error then.
        let path = self.session.configuration.path.clone();
        let global = Global { config: path.or(self.session.global.config.clone()), ..self.session.global.clone() };
        let source = || Source {
            global,
            given: self.given.clone(),
            registry: self.session.registry.clone(),
            setup: self.setup.clone(),
            memory: self.session.memory.clone(),
            url: self.session.configuration.registry.clone(),
            kept: self.following.kept(),
        };
        self.reloading.ask(|| reload(source(), self.writing.clone()));
    }

    /// Takes a new configuration over, or keeps the old one. The child is never touched.
    ///
    /// # Errors
    /// What was under way has gone by a panic.
    fn reloaded(&mut self, reloaded: Result<Outcome<Fresh>, JoinError>) -> Result<(), JoinError> {
        let Fresh { configuration, own, handlers, following } = match reloaded? {
            Ok(fresh) => fresh,
            Err(failure) => {
                tracing::error!("the configuration stays as it was: {failure}");
                return Ok(());
            }
        };
        // The readers run already, so every difference is told.
        let earlier = std::mem::replace(&mut self.following, following);
        self.following.take_over(earlier, &configuration.watches);
        self.writing = Writing::start(handlers, &self.following.memberships);
        self.following.start(&self.session, &configuration);
        let probes = (&configuration.ready, &configuration.health);
        if probes != (&self.session.configuration.ready, &self.session.configuration.health) {
            // One that was ready once is only asked about its health from now on.
            let ready = configuration.ready.clone().filter(|_| !*self.ready.borrow());
            self.health = Watcher::start(ready, configuration.health.clone(), self.setup.processes.clone());
        }
        self.registering.replace(own);
        self.session.configuration = configuration;
        tracing::info!("the configuration was read again");
        Ok(())
    }
}

/// Ends what was left behind.
pub(super) async fn sweep(processes: &Processes) {
    match processes.sweep(ORPHANS).await {
        Ok(0) => {}
        Ok(left) => tracing::warn!("{left} processes could not be ended"),
        Err(error) => tracing::warn!("cannot see what was left behind: {error}"),
    }
}

/// Returns when somebody asks for the stop again. A new configuration is of no use any more.
async fn insisted(asked: &mut mpsc::UnboundedReceiver<Asked>) {
    loop {
        match asked.recv().await {
            Some(Asked::Stop(_) | Asked::StopNow(_)) => return,
            Some(Asked::Reload | Asked::Forward(_)) => {}
            None => std::future::pending().await,
        }
    }
}
