//! Agents of both versions in one cluster, replaced one after the other.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use cluster_control_tests::{Context, Process, SOON, Signal, eventually};

use crate::Program;

const SIZE: usize = 6;
/// A child that does nothing about TERM.
const ENDED_BY_TERM: i32 = 128 + 15;

fn name(number: usize) -> String {
    format!("agent-{number}")
}

fn file(context: &Context, number: usize) -> PathBuf {
    context.path(name(number)).join("web.json")
}

fn members(context: &Context, number: usize) -> BTreeSet<String> {
    let text = std::fs::read_to_string(file(context, number)).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn start(context: &Context, number: usize, program: Program) -> Process {
    let (name, web) = (name(number), context.at("web"));
    let dest = file(context, number);
    let text = format!(
        "[self]\nkey = \"{web}/{name}\"\nttl = \"10s\"\n[[watch]]\nname = \"web\"\npath = \"{web}\"\n\
         [[file]]\nkind = \"json\"\nwatch = [\"web\"]\ndest = \"{}\"\non_empty = \"render\"\n",
        dest.display()
    );
    let config = context.write(&format!("{name}/cluster-control.toml"), text);
    let config = config.to_string_lossy().into_owned();
    program.launch(context, &["run", "--config", &config, "--", "sleep", "1000"]).start()
}

pub(crate) fn a_rolling_upgrade(context: &Context) {
    let all: BTreeSet<_> = (0..SIZE).map(name).collect();
    let complete = |when: &str| {
        for number in 0..SIZE {
            eventually(SOON * 2, &format!("{when}: {} sees all", name(number)), || members(context, number) == all);
        }
    };
    let program = |number: usize| if number.is_multiple_of(2) { Program::Earlier } else { Program::Present };
    let mut agents: Vec<_> = (0..SIZE).map(|number| start(context, number, program(number))).collect();
    complete("mixed");
    for round in [Program::Present, Program::Earlier, Program::Present] {
        for (number, agent) in agents.iter_mut().enumerate() {
            // Nobody but the one that is replaced is missing for anybody.
            let missing = Watcher::start(context, number);
            agent.signal(Signal::TERM);
            assert_eq!(agent.wait(SOON), ENDED_BY_TERM, "{}", agent.stderr());
            *agent = start(context, number, round);
            complete(&format!("{} is {round:?}", name(number)));
            missing.end();
        }
    }
}

/// Reads the files of all agents but one until it is ended.
struct Watcher {
    over: Arc<AtomicBool>,
    thread: thread::JoinHandle<BTreeSet<String>>,
}

impl Watcher {
    fn start(context: &Context, replaced: usize) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let files: Vec<_> =
            (0..SIZE).filter(|number| *number != replaced).map(|number| file(context, number)).collect();
        let others: BTreeSet<_> = (0..SIZE).filter(|number| *number != replaced).map(name).collect();
        let ended = Arc::clone(&over);
        let thread = thread::spawn(move || {
            let mut missing = BTreeSet::new();
            while !ended.load(Ordering::Relaxed) {
                for file in &files {
                    let text = std::fs::read_to_string(file).expect("it is there");
                    let seen: BTreeSet<String> = serde_json::from_str(&text).expect("a whole file");
                    missing.extend(others.difference(&seen).cloned());
                }
                thread::sleep(Duration::from_millis(20));
            }
            missing
        });
        Self { over, thread }
    }

    fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        let missing = self.thread.join().expect("no panic");
        assert!(missing.is_empty(), "{missing:?} were not listed, and were not replaced");
    }
}
