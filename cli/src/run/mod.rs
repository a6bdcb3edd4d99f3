//! `run`: the whole job of a container, in order.
//!
//! Configuration, registry, files, child, readiness, registration; then everything side by side until something ends it:
//! deregister, drain, signal, wait, kill, reap, and exit with the child's status.
//!
//! Signals are listened for first, and whatever waits is a task beside the loop that listens: a signal, the child's end and an
//! eviction are acted on at once, whatever else hangs.

pub(crate) mod files;
mod health;
pub(crate) mod registering;
mod reloading;
mod signals;
mod supervisor;
pub(crate) mod writing;

use std::ffi::{OsStr, OsString};
use std::pin::pin;
use std::sync::{Arc, OnceLock};

use processes::{Command, Input, Processes, Running, Signal};
use registry_handlers::{Handlers, Setup, SignalChild};
use tokio::sync::watch;

use crate::arguments::{Global, Run};
use crate::aside::aside;
use crate::configuration::SelfSpec;
use crate::connecting::Session;
use crate::exit::{Failure, Outcome, TERMINATED};
use crate::following::Following;
use crate::withheld;
use signals::Asked;
use supervisor::{Supervisor, sweep};

/// The child, once it runs; notifications find it here.
type Slot = Arc<OnceLock<Running>>;

/// Everything that there is before the child.
struct Prepared {
    session: Session,
    own: Option<SelfSpec>,
    setup: Setup,
    handlers: Handlers,
    following: Following,
    ready: watch::Sender<bool>,
}

/// Runs the child and everything around it.
pub(crate) async fn run(global: Global, arguments: Run) -> Outcome {
    let child = arguments.child.split_first().filter(|(program, _)| !program.is_empty());
    let (program, rest) = child.ok_or_else(|| Failure::usage("name the child after `--`"))?;
    let mut asked = signals::listen_to_all()?;
    let slot = Slot::default();
    let mut reload = false;
    let prepared = {
        let mut preparing = pin!(prepare(global, &arguments, signaller(&slot)));
        loop {
            tokio::select! {
                prepared = &mut preparing => break Ok(prepared?),
                signal = asked.recv() => match signal {
                    Some(Asked::Stop(signal) | Asked::StopNow(signal)) => break Err(128 + signal),
                    // The file may have changed since it was read.
                    Some(Asked::Reload) => reload = true,
                    Some(Asked::Forward(_)) => {}
                    None => break Err(TERMINATED),
                },
            }
        }
    };
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(code) => {
            // A check that ran was killed; this is what it may have left behind.
            sweep(&withheld::everything_inherited()?).await;
            return Ok(code);
        }
    };
    let child = spawn(&prepared.setup.processes, program, rest)?;
    // Nobody else sets it.
    let _ = slot.set(child.clone());
    Supervisor::new(prepared, arguments.own, child).run(asked, reload).await
}

/// Reads the configuration, lists the clusters, and writes the files. Cancelled, each file is either whole and old or whole
/// and new.
async fn prepare(global: Global, arguments: &Run, child: SignalChild) -> Outcome<Prepared> {
    // What is read may lie on a disk that hangs.
    let session = aside(move || Session::open(global)).await??;
    let own = session.configuration.own(&arguments.own, &*session.registry)?;
    let (ready, is_ready) = watch::channel(false);
    let check = move || {
        let configuration = &session.configuration;
        let mut setup = files::setup(configuration, Some(child))?;
        setup.ready = is_ready;
        let handlers = files::check(configuration, &configuration.files, &configuration.notifies, setup.clone())?;
        Outcome::Ok((session, setup, handlers))
    };
    let (session, setup, mut handlers) = aside(check).await??;
    let configuration = &session.configuration;
    let patience = arguments.start_timeout.or(session.global.timeout).unwrap_or(configuration.child.start_timeout());
    let (watches, memory) = (configuration.watches.clone(), session.memory.clone());
    let following = Following::list(&*session.registry, configuration, watches, memory, patience).await?;
    files::prepare(&mut handlers, &following.memberships).await?;
    Ok(Prepared { session, own, setup, handlers, following, ready })
}

fn spawn(processes: &Processes, program: &OsStr, rest: &[OsString]) -> Outcome<Running> {
    let command = Command::new(program).args(rest).stdin(Input::Inherit).terminal();
    Ok(processes.spawn(command)?)
}

fn signaller(slot: &Slot) -> SignalChild {
    let slot = Arc::clone(slot);
    Arc::new(move |signal: Signal| match slot.get() {
        Some(child) => child.signal(signal).map_err(|error| format!("cannot send {signal} to the child: {error}")),
        None => Err("the child does not run yet".into()),
    })
}
