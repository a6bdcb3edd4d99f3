//! `run`: the whole job of a container, in order.
//!
//! Configuration, registry, files, child, readiness, registration; then everything side by side until something ends it:
//! deregister, drain, signal, wait, kill, reap, and exit with the child's status.

pub(crate) mod files;
mod health;
pub(crate) mod registering;
mod signals;
mod supervisor;

use std::ffi::{OsStr, OsString};
use std::sync::{Arc, OnceLock};

use processes::{Command, Input, Running, Signal};
use registry_handlers::SignalChild;

use crate::arguments::Run;
use crate::connecting::Session;
use crate::exit::{Failure, Outcome};
use crate::following::Following;
use signals::Asked;
use supervisor::Supervisor;

/// The child, once it runs; notifications find it here.
type Slot = Arc<OnceLock<Running>>;

/// Runs the child and everything around it.
pub(crate) async fn run(session: Session, arguments: Run) -> Outcome {
    let child = arguments.child.split_first().filter(|(program, _)| !program.is_empty());
    let (program, rest) = child.ok_or_else(|| Failure::usage("name the child after `--`"))?;
    let own = session.configuration.own(&arguments.own, &*session.registry)?;
    let mut asked = signals::listen_to_all()?;
    let slot = Slot::default();
    let (ready, is_ready) = tokio::sync::watch::channel(false);
    let mut setup = files::setup(&session.configuration, Some(signaller(&slot)))?;
    setup.ready = is_ready;
    let configuration = &session.configuration;
    let mut handlers = files::check(configuration, &configuration.files, &configuration.notifies, setup.clone())?;

    let patience = arguments.start_timeout.or(session.global.timeout).unwrap_or(configuration.child.start_timeout());
    let (watches, memory) = (configuration.watches.clone(), session.memory.clone());
    let listed = Following::list(&*session.registry, configuration, watches, memory, patience);
    let mut following = tokio::select! {
        listed = listed => listed?,
        signal = stopped(&mut asked) => return Ok(128 + signal),
    };
    files::prepare(&mut handlers, &following.memberships).await?;

    let child = spawn(&setup.processes, program, rest)?;
    // Nobody else sets it.
    let _ = slot.set(child.clone());
    let pipeline = handlers.start(&following.memberships);
    following.start(&session, &session.configuration);
    Supervisor::new(session, arguments.own, setup, child, ready, following, pipeline, own).run(asked).await
}

/// Waits for a signal that ends the program before there is a child.
async fn stopped(asked: &mut tokio::sync::mpsc::UnboundedReceiver<Asked>) -> u8 {
    loop {
        match asked.recv().await {
            Some(Asked::Stop | Asked::StopNow) | None => return 15,
            Some(Asked::Reload | Asked::Forward(_)) => {}
        }
    }
}

fn spawn(processes: &processes::Processes, program: &OsStr, rest: &[OsString]) -> Outcome<Running> {
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
