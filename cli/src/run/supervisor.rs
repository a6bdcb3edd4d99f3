//! Everything side by side, until something ends it.

use std::time::Duration;

use processes::{Running, Signal, Status};
use registry_handlers::{Pipeline, Setup};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::files;
use super::health::{Condition, Watcher};
use super::registering::Registering;
use super::signals::Asked;
use crate::arguments::{Global, Own};
use crate::aside::aside;
use crate::configuration::{Configuration, OnFail, SelfSpec};
use crate::connecting::Session;
use crate::exit::{ERROR, EVICTED, OK, Outcome, code_of};
use crate::following::Following;

/// How long what the child left behind has to end by itself.
const ORPHANS: Duration = Duration::from_millis(500);
/// How long a new configuration waits for the registry before the old one is kept.
const RELOAD_PATIENCE: Duration = Duration::from_secs(5);

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
    /// `None` only while one configuration gives way to the next.
    pipeline: Option<Pipeline>,
    own: Option<SelfSpec>,
    registering: Option<Registering>,
    health: Watcher,
}

impl Supervisor {
    #[expect(clippy::too_many_arguments, reason = "each is a part that was made ready in its own step")]
    pub(super) fn new(
        session: Session,
        given: Own,
        setup: Setup,
        child: Running,
        ready: watch::Sender<bool>,
        following: Following,
        pipeline: Pipeline,
        own: Option<SelfSpec>,
    ) -> Self {
        let registering = own.clone().map(|own| Registering::start(session.registry.clone(), own));
        let configuration = &session.configuration;
        let health = Watcher::start(configuration.ready.clone(), configuration.health.clone(), setup.processes.clone());
        Self { session, given, setup, child, ready, following, pipeline: Some(pipeline), own, registering, health }
    }

    pub(super) async fn run(mut self, mut asked: mpsc::UnboundedReceiver<Asked>) -> Outcome {
        let ended = self.wait(&mut asked).await;
        let (status, code) = match ended {
            Ended::Child(status) => {
                tracing::info!("the child ended by itself: {status}");
                self.release().await;
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
        if let Some(pipeline) = self.pipeline.take() {
            pipeline.stop().await;
        }
        self.following.stop().await;
        match self.setup.processes.sweep(ORPHANS).await {
            Ok(0) => {}
            Ok(left) => tracing::warn!("{left} processes could not be ended"),
            Err(error) => tracing::warn!("cannot see what was left behind: {error}"),
        }
        let own = code_of(status);
        let success = self.session.configuration.child.success_codes.contains(&own);
        Ok(code.unwrap_or(if success { OK } else { own }))
    }

    async fn wait(&mut self, asked: &mut mpsc::UnboundedReceiver<Asked>) -> Ended {
        loop {
            let registered = async {
                match &mut self.registering {
                    Some(registering) => registering.ended().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                status = self.child.wait() => return Ended::Child(status),
                is_evicted = registered => return if is_evicted { Ended::Evicted } else { Ended::Broken },
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
                signal = asked.recv() => match signal {
                    Some(Asked::Stop) | None => return Ended::Asked { drain: true },
                    Some(Asked::StopNow) => return Ended::Asked { drain: false },
                    Some(Asked::Reload) => self.reload().await,
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
        if let Some(registering) = &self.registering {
            registering.want(healthy);
        }
        false
    }

    /// Deregister, drain, signal, wait, kill. A second request skips the drain, a third one the waiting.
    async fn stop(&mut self, drain: bool, asked: &mut mpsc::UnboundedReceiver<Asked>) -> Status {
        let was_registered = self.registering.is_some();
        self.release().await;
        let child = self.session.configuration.child.clone();
        if drain && was_registered && !child.drain().is_zero() {
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

    /// The entry goes before the child does: nobody is sent to a server that is about to stop.
    async fn release(&mut self) {
        if let Some(registering) = self.registering.take() {
            registering.stop().await;
        }
    }

    /// Takes a new configuration over, or keeps the old one. The child is never touched.
    async fn reload(&mut self) {
        match self.load().await {
            Ok(()) => tracing::info!("the configuration was read again"),
            Err(failure) => tracing::error!("the configuration stays as it was: {failure}"),
        }
    }

    async fn load(&mut self) -> Outcome<()> {
        // The same file as before, also where it was found without being named: one that is gone is an error then.
        let path = self.session.configuration.path.clone();
        let global = Global { config: path.or(self.session.global.config.clone()), ..self.session.global.clone() };
        // What is read may lie on a disk that hangs.
        let configuration = aside(move || Configuration::load(&global)).await??;
        let own = configuration.own(&self.given, &*self.session.registry)?;
        let setup = self.setup.clone();
        let check = move || {
            let handlers = files::check(&configuration, &configuration.files, &configuration.notifies, setup)?;
            Outcome::Ok((configuration, handlers))
        };
        let (configuration, handlers) = aside(check).await??;
        let (kept, memory) = (self.following.kept(), self.session.memory.clone());
        let listed = Following::list_beside(kept, &*self.session.registry, &configuration, memory, RELOAD_PATIENCE);
        let mut following = listed.await?;
        if configuration.registry != self.session.configuration.registry {
            tracing::warn!("another registry is used only after a restart");
        }
        // Everything is valid: from here on nothing can fail. The readers run already, so every difference is told.
        if let Some(old) = self.pipeline.take() {
            old.stop().await;
        }
        std::mem::swap(&mut self.following, &mut following);
        self.following.take_over(following, &configuration.watches);
        self.pipeline = Some(handlers.start(&self.following.memberships));
        self.following.start(&self.session, &configuration);
        let probes = (&configuration.ready, &configuration.health);
        if probes != (&self.session.configuration.ready, &self.session.configuration.health) {
            let processes = self.setup.processes.clone();
            // It was ready once; only its health is asked about from now on.
            self.health = Watcher::start(None, configuration.health.clone(), processes);
        }
        if own != self.own {
            self.release().await;
            self.own.clone_from(&own);
            self.registering = own.map(|own| Registering::start(self.session.registry.clone(), own));
            self.judged(*self.health.condition.borrow());
        }
        self.session.configuration = configuration;
        Ok(())
    }
}

/// Returns when somebody asks for the stop again.
async fn insisted(asked: &mut mpsc::UnboundedReceiver<Asked>) {
    loop {
        match asked.recv().await {
            Some(Asked::Stop | Asked::StopNow) => return,
            Some(_) => {}
            None => std::future::pending().await,
        }
    }
}
