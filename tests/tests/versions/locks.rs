//! What both versions hold together.

use std::time::Duration;

use cluster_control_tests::{Context, Process, SOON, Signal, eventually, never};
use serde_json::Value;

use crate::Program;

/// Runs a command under the lock that writes down when it begins and when it is asked to end.
fn locked(context: &Context, program: Program, name: &str) -> Process {
    let dir = context.at("lock");
    let script = format!("echo +{name} >> log; trap 'echo -{name} >> log; exit' TERM; sleep 1000 & wait");
    program.launch(context, &["lock", &dir, "--ttl", "10s", "--", "sh", "-c", &script]).start()
}

/// Each waits for the one before it, whichever version it is.
pub(crate) fn a_lock_changes_hands(context: &Context) {
    let order = [Program::Earlier, Program::Present, Program::Earlier, Program::Present, Program::Present];
    let mut waiting = Vec::new();
    let mut expected = Vec::new();
    let log = || -> Vec<_> { context.read("log").unwrap_or_default().lines().map(str::to_owned).collect() };
    for (number, program) in order.into_iter().enumerate() {
        let name = number.to_string();
        waiting.push(locked(context, program, &name));
        // In line in this order.
        let line = context.at("lock");
        eventually(SOON, &format!("{name} is in line"), || context.witness.names(&line).len() == number + 1);
    }
    for (number, mut process) in waiting.into_iter().enumerate() {
        expected.push(format!("+{number}"));
        eventually(SOON, &format!("{number} holds the lock"), || log() == expected);
        never(Duration::from_millis(500), "another one begins", || log() != expected);
        process.signal(Signal::TERM);
        process.wait(SOON);
        expected.push(format!("-{number}"));
    }
    assert_eq!(log(), expected);
}

/// Members of both versions agree on whose work is whose.
pub(crate) fn parts_of_one_partition(context: &Context) {
    let key = context.at("partition");
    let members = [(Program::Earlier, "node1", 2), (Program::Present, "node2", 1), (Program::Earlier, "node3", 4)];
    let processes: Vec<_> = members
        .iter()
        .map(|(program, id, workers)| {
            program.launch(context, &["partition", &key, "--id", id, "--workers", &workers.to_string()]).start()
        })
        .collect();
    for (process, base) in processes.iter().zip([0, 2, 3]) {
        eventually(SOON * 2, &format!("the part that begins at {base} of 7"), || {
            let stdout = process.stdout();
            let last = stdout.lines().last().and_then(|line| serde_json::from_str::<Value>(line).ok());
            last.is_some_and(|part| part["base"] == base && part["total"] == 7)
        });
    }
}
