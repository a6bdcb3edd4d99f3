//! The command that does this instance's part of the work.

use std::ffi::{OsStr, OsString};
use std::future::pending;
use std::path::PathBuf;
use std::time::Duration;

use processes::{Command, Input, Processes, Running, Signal, Status};
use registry_handlers::{Mode, replace};
use registry_recipes::partition::Share;

use super::arguments::{OnChange, PartitionArguments};
use super::shown;
use crate::arguments::Global;
use crate::aside::aside;
use crate::configuration::Configuration;
use crate::exit::{Failure, Outcome};
use crate::withheld;

/// How long what the command left behind has to end by itself.
const ORPHANS: Duration = Duration::from_millis(500);

/// A command that runs for one part at a time.
#[derive(Debug)]
pub(super) struct Job {
    processes: Processes,
    program: OsString,
    arguments: Vec<OsString>,
    on_change: OnChange,
    signal: Signal,
    file: Option<PathBuf>,
    grace: Duration,
    /// What runs, and for which part.
    running: Option<(Running, Share)>,
}

impl Job {
    /// `None` without a command.
    pub(super) fn new(given: &PartitionArguments, global: &Global) -> Outcome<Option<Self>> {
        let Some((program, arguments)) = given.command.split_first() else { return Ok(None) };
        if program.is_empty() {
            return Err(Failure::usage("name the command after `--`"));
        }
        if given.on_change == OnChange::Signal && given.file.is_none() {
            return Err(Failure::usage(
                "`--on-change signal` needs `--file PATH`: where would the command find its new part?",
            ));
        }
        let processes = withheld::processes(&Configuration::load_if_possible(global)?)?;
        Ok(Some(Self {
            processes,
            program: program.clone(),
            arguments: arguments.to_vec(),
            on_change: given.on_change,
            signal: given.signal,
            file: given.file.clone(),
            grace: given.grace,
            running: None,
        }))
    }

    /// Returns when the command ended by itself. Cancel safe.
    pub(super) async fn ended(&self) -> Status {
        match &self.running {
            Some((running, _)) => running.wait().await,
            None => pending().await,
        }
    }

    /// Brings the command to a part: stops it without one, starts or tells it with one. What became of the part while it
    /// was being stopped is what it is started with. Cancelled, the command may still run: [`stop`](Self::stop) it.
    pub(super) async fn apply(&mut self, share: Share, newest: impl Fn() -> Share) -> Outcome<()> {
        if share.base.is_none() {
            if self.running.is_some() {
                tracing::warn!("this instance has no part any more: the command is stopped");
                self.stop().await;
            }
            return Ok(());
        }
        match &self.running {
            Some((_, part)) if part.agrees_with(&share) => return Ok(()),
            Some((running, _)) if self.on_change == OnChange::Signal => {
                let running = running.clone();
                tracing::info!("the part is {} now: {} is sent", shown(share), self.signal);
                self.write(share).await?;
                if let Err(error) = running.signal(self.signal) {
                    // It has ended, which is told next.
                    tracing::debug!("cannot send {}: {error}", self.signal);
                }
                self.running = Some((running, share));
                return Ok(());
            }
            Some(_) => {
                tracing::info!("the part is {} now: the command is started anew", shown(share));
                self.stop().await;
            }
            None => {}
        }
        let share = newest();
        if share.base.is_some() {
            self.start(share).await?;
        }
        Ok(())
    }

    /// Ends the command and all of its group, and returns how it ended; `None` when none runs.
    pub(super) async fn stop(&mut self) -> Option<Status> {
        let (running, _) = self.running.as_ref()?;
        let status = running.clone().stop(Signal::TERM, self.grace).await;
        self.running = None;
        Some(status)
    }

    /// Ends what the command left behind outside of its group.
    pub(super) async fn sweep(&self) {
        match self.processes.sweep(ORPHANS).await {
            Ok(0) => {}
            Ok(left) => tracing::warn!("{left} processes could not be ended"),
            Err(error) => tracing::debug!("cannot see what was left behind: {error}"),
        }
    }

    async fn start(&mut self, share: Share) -> Outcome<()> {
        self.write(share).await?;
        let numbers = numbers(share);
        let arguments = self.arguments.iter().map(|argument| replaced(argument, &numbers));
        // The terminal stays here: one that was handed to a command that is gone could not be handed to the next.
        let mut command = Command::new(&self.program).args(arguments).stdin(Input::Inherit);
        for (name, number) in &numbers {
            command = command.env(format!("CLUSTER_CONTROL_{}", name.to_uppercase()), number);
        }
        let running = self.processes.spawn(command)?;
        tracing::info!("the part is {}: the command runs", shown(share));
        self.running = Some((running, share));
        Ok(())
    }

    async fn write(&self, share: Share) -> Outcome<()> {
        let Some(file) = self.file.clone() else { return Ok(()) };
        Ok(aside(move || replace(&file, format!("{}\n", line(share)), Mode::READABLE)).await??)
    }
}

/// A share as one line of JSON.
pub(super) fn line(share: Share) -> String {
    let base = share.base.map_or("null".to_owned(), |base| base.to_string());
    let Share { workers, total, index, .. } = share;
    format!(r#"{{"base":{base},"workers":{workers},"total":{total},"index":"{index}"}}"#)
}

fn numbers(share: Share) -> [(&'static str, String); 3] {
    let base = share.base.unwrap_or_default().to_string();
    [("base", base), ("workers", share.workers.to_string()), ("total", share.total.to_string())]
}

/// Bytes that are not UTF-8 are left as they are.
fn replaced(argument: &OsStr, numbers: &[(&'static str, String)]) -> OsString {
    let Some(text) = argument.to_str() else { return argument.to_owned() };
    let replace = |text: String, (name, number): &(&str, String)| text.replace(&format!("{{{name}}}"), number);
    numbers.iter().fold(text.to_owned(), replace).into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use registry::Index;

    use super::*;

    fn share(base: Option<u64>) -> Share {
        Share { base, workers: 4, total: 7, index: Index::new(9, 42) }
    }

    #[test]
    fn a_share_is_one_line() {
        assert_eq!(line(share(Some(3))), r#"{"base":3,"workers":4,"total":7,"index":"42"}"#);
        assert_eq!(line(share(None)), r#"{"base":null,"workers":4,"total":7,"index":"42"}"#);
    }

    #[test]
    fn only_its_own_words_are_replaced() {
        let numbers = numbers(share(Some(3)));
        assert_eq!(replaced(OsStr::new("--of={base}/{total}:{workers}{base}"), &numbers), "--of=3/7:43");
        assert_eq!(replaced(OsStr::new("{BASE} {{base}} {} ${base"), &numbers), "{BASE} {3} {} ${base");
        let bytes = OsString::from_vec(b"\xff{base}".to_vec());
        assert_eq!(replaced(&bytes, &numbers), bytes);
    }
}
