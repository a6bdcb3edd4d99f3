//! A process that follows a directory and takes its time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::future::pending;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use cluster_control_tests::{Process, Sandbox};
use registry::{Bytes, Cause, Change, Dir, Event, Gap, RegistryExt};
use tokio::time::sleep;

/// Set where this executable is not to run trials.
const ROLE: &str = "TEST_SLOW_CONSUMER";
/// When this file is there, everybody takes what waits as fast as it comes.
const QUICK: &str = "quick";
/// The entry after which nothing changes any more.
pub(crate) const LAST: &str = "zzz-last";

/// How it takes events.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// One every second.
    Slow,
    /// None after the first, until it must be quick.
    Asleep,
}

/// One that runs.
pub(crate) struct Consumer {
    pub(crate) process: Process,
    pub(crate) pace: Pace,
}

impl Consumer {
    pub(crate) fn start(sandbox: &Sandbox, url: &str, dir: &Dir, pace: Pace) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("an executable has a path"));
        command.args([url, dir.as_str(), &format!("{pace:?}")]);
        Self { process: sandbox.launch(command).env(ROLE, "1").start(), pace }
    }

    /// Whether it has been told the first state.
    pub(crate) fn has_begun(&self) -> bool {
        self.process.stdout().contains("begun")
    }

    /// Whether it knows the last entry.
    pub(crate) fn has_ended(&self) -> bool {
        self.process.stdout().contains("ended")
    }

    /// How many changes it was told.
    pub(crate) fn told(&self) -> usize {
        let said = self.said();
        said.split_whitespace().nth(1).and_then(|count| count.parse().ok()).expect("it has ended")
    }

    /// What it says of the way there.
    pub(crate) fn said(&self) -> String {
        let said = self.process.stdout();
        said.lines().last().unwrap_or_default().to_owned()
    }

    /// What it knows then.
    pub(crate) fn members(&self, sandbox: &Sandbox) -> String {
        sandbox.read(&format!("{:?}", self.pace)).expect("it has written what it knows")
    }
}

/// From now on everybody is quick.
pub(crate) fn wake(sandbox: &Sandbox) {
    sandbox.write(QUICK, "");
}

/// One line for each, in order.
pub(crate) fn lines(members: &BTreeMap<String, Bytes>) -> String {
    members.iter().fold(String::new(), |mut text, (name, value)| {
        writeln!(text, "{name} {}", String::from_utf8_lossy(value)).expect("a string");
        text
    })
}

/// What this executable does instead of trials, if it was started for that.
pub(crate) fn role() -> Option<ExitCode> {
    std::env::var_os(ROLE)?;
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [url, dir, pace] = &arguments[..] else { panic!("{arguments:?}") };
    crate::clients::runtime().block_on(follow(url, dir, pace));
    Some(ExitCode::FAILURE)
}

async fn follow(url: &str, dir: &str, pace: &str) {
    let registry = registry::connect(url).unwrap_or_else(|error| panic!("{error}"));
    let mut subscription = registry.subscribe(Dir::new(dir).expect("a valid path"));
    let (mut members, mut events, mut told, mut gaps) = (BTreeMap::new(), 0, 0, 0);
    while let Some(event) = subscription.next().await {
        events += 1;
        match event.unwrap_or_else(|error| panic!("the subscription ended: {error}")) {
            Event::Snapshot { snapshot, cause } => {
                members = snapshot.entries.into_iter().map(|entry| (entry.name.to_string(), entry.value)).collect();
                match cause {
                    Cause::Initial => println!("begun"),
                    Cause::Gap(Gap::Lagged) => gaps += 1,
                    Cause::Gap(gap) => println!("a gap: {gap:?}"),
                }
            }
            Event::Changes(batch) => {
                told += batch.changes.len();
                for change in batch.changes {
                    match change {
                        Change::Put(entry) => members.insert(entry.name.to_string(), entry.value),
                        Change::Remove { name, .. } => members.remove(name.as_str()),
                    };
                }
            }
            Event::Interrupted { error, .. } => println!("interrupted: {error}"),
            Event::Resumed { .. } => println!("resumed"),
        }
        if members.contains_key(LAST) {
            fs::write(pace, lines(&members)).expect("a file in the sandbox");
            println!("told {told} changes in {events} events, {gaps} of them a whole state because it lagged; ended");
            // How much it has needed can be asked for as long as it runs.
            pending::<()>().await;
        }
        rest(pace).await;
    }
}

async fn rest(pace: &str) {
    let asleep = pace == format!("{:?}", Pace::Asleep);
    if !Path::new(QUICK).exists() {
        sleep(Duration::from_secs(1)).await;
    }
    while asleep && !Path::new(QUICK).exists() {
        sleep(Duration::from_millis(100)).await;
    }
}
