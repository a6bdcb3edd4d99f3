//! A command that runs only while something is held.

use std::pin::pin;
use std::time::Duration;

use processes::{Command, Input, Processes, Running, Signal, Status};
use tokio::time::Instant;

use crate::exit::{Failure, Outcome};
use crate::signals::Termination;

/// How the command ended.
pub(crate) enum Ended {
    /// By itself, or because we were asked to end.
    Done(Status),
    /// It was stopped because what it stood on was about to be lost.
    Lost,
}

/// Starts it in a process group of its own.
pub(crate) fn start(processes: &Processes, words: &[String], environment: &[(&str, String)]) -> Outcome<Running> {
    let (program, arguments) = words.split_first().ok_or_else(|| Failure::usage("name the command after `--`"))?;
    let command = Command::new(program).args(arguments).stdin(Input::Inherit).terminal();
    let command = environment.iter().fold(command, |command, (name, value)| command.env(name, value));
    Ok(processes.spawn(command)?)
}

/// Waits until it ends, we are asked to end, or `losing` tells by when it must have stopped. Afterwards nothing of its
/// group is left. Also while it is being stopped, or what it left behind is, the loss comes first: KILL follows when the
/// time is over, so that nobody else begins before this one has stopped. Asked twice, it kills at once.
pub(crate) async fn attend(
    child: &Running,
    losing: impl Future<Output = Instant>,
    termination: &mut Termination,
    stop_timeout: Duration,
) -> Ended {
    let mut losing = pin!(losing);
    let lost = async |until: Instant| {
        child.stop(Signal::TERM, until.saturating_duration_since(Instant::now())).await;
        Ended::Lost
    };
    tokio::select! {
        // A process that was thawed looks first whether it still holds what it stands on.
        biased;
        until = &mut losing => return lost(until).await,
        _ = child.wait() => {}
        () = termination.requested() => {}
    }
    tokio::select! {
        biased;
        until = &mut losing => lost(until).await,
        () = termination.requested() => Ended::Done(child.stop(Signal::KILL, Duration::ZERO).await),
        status = child.stop(Signal::TERM, stop_timeout) => Ended::Done(status),
    }
}
