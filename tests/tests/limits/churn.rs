//! A large directory changes without a pause, and those who follow it are slow.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use cluster_control_tests::{Context, Process, eventually};
use registry::{Bytes, Dir, Scope};

use crate::clients::runtime;
use crate::consumer::{Consumer, LAST, Pace, lines, wake};
use crate::writer::{Members, register};

const MEMBERS: usize = 10_000;
/// At least so many bytes are written, however slow the registry is: more than anybody may hold.
const HISTORY: usize = 96 << 20;
/// What a process may need at most, in KiB: twice what was measured, which is
/// * 13 MiB in an empty directory,
/// * 1 KiB for each member, with a name and a value of less than 100 bytes: as the library knows it and as its user does; and half
///   of that once more while the list is read again, as happens in a full minute,
/// * what may wait: 4096 KiB, and half a KiB for each of 4096 changes.
const BOUND: usize = 2 * (13 * 1024 + MEMBERS + MEMBERS / 2 + 4096 + 4096 / 2);
/// Who is quick again has the truth by then.
const PATIENCE: Duration = Duration::from_mins(2);

/// How long the members change: a minute with `CHURN=60`.
fn time() -> Duration {
    Duration::from_secs(std::env::var("CHURN").map_or(15, |text| text.parse().expect("CHURN is a number of seconds")))
}

pub(crate) fn slow_consumers(context: &Context) {
    let (url, dir) = (context.url(), Dir::new(&context.at("db")).expect("a valid path"));
    let runtime = runtime();
    let registry = runtime.block_on(async { registry::connect(&url) }).unwrap_or_else(|error| panic!("{error}"));
    let members = runtime.block_on(Members::register(registry.clone(), &dir, MEMBERS));

    let consumers = [Pace::Slow, Pace::Asleep].map(|pace| Consumer::start(context, &url, &dir, pace));
    let agent = agent(context, &dir);
    for consumer in &consumers {
        eventually(PATIENCE, "the first state is told", || consumer.has_begun());
    }
    eventually(PATIENCE, "the file holds them all", || file(context).len() == MEMBERS);
    let processes = [("slow", &consumers[0].process), ("asleep", &consumers[1].process), ("run", &agent)];
    let begun = processes.map(|(_, process)| peak(process));

    let written = runtime.block_on(members.churn(time(), HISTORY));
    wake(context);
    let last = dir.key(LAST).expect("a valid name");
    runtime.block_on(register(&*registry, &last, Bytes::from_static(b"0")));
    println!("{url}: {} changes, {} MiB, in {:?}", written.changes, written.bytes >> 20, written.time);

    let truth = runtime.block_on(registry.list(&Scope::from(&dir))).unwrap_or_else(|error| panic!("{error}"));
    let truth: BTreeMap<_, _> = truth.entries.into_iter().map(|entry| (entry.name.to_string(), entry.value)).collect();
    assert_eq!(truth.len(), MEMBERS + 1);
    for consumer in &consumers {
        let what = format!("{:?} knows the last entry", consumer.pace);
        eventually(PATIENCE, &what, || consumer.has_ended());
        println!("{url}: {:?} {}", consumer.pace, consumer.said());
        assert!(consumer.members(context) == lines(&truth), "{:?} does not know the truth", consumer.pace);
    }
    let names: BTreeSet<_> = truth.into_keys().collect();
    eventually(PATIENCE, "the file holds the truth", || file(context) == names);
    for ((name, process), begun) in processes.into_iter().zip(begun) {
        let peak = peak(process);
        println!("{url}: {name} had {begun} KiB when it knew all members, and {peak} KiB at most");
        assert!(peak <= BOUND, "{name} needed {peak} KiB, and {BOUND} are allowed");
    }
    for consumer in &consumers {
        assert!(consumer.told() < written.changes, "{:?} was never slow: it was told every change", consumer.pace);
    }
}

/// The program with a file whose check takes longer than anything changes.
fn agent(context: &Context, dir: &Dir) -> Process {
    let dest = context.path("db.json");
    let text = format!(
        "[registry]\nurl = \"{}\"\n[[watch]]\nname = \"db\"\npath = \"{dir}\"\n[[file]]\nkind = \"json\"\nwatch = [\"db\"]\ndest = \"{}\"\n\
         check = [\"sh\", \"-c\", \"sleep 1\", \"{{src}}\"]\n",
        context.url(),
        dest.display(),
    );
    let file = context.write("cluster-control.toml", text);
    context.program(["run", "--config", &file.to_string_lossy(), "--", "sleep", "1000"]).start()
}

/// Whom the file names.
fn file(context: &Context) -> BTreeSet<String> {
    let text = context.read("db.json").unwrap_or_else(|| "[]".into());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("a torn file: {error}: {text:?}"))
}

/// The most that it has needed so far, in KiB.
fn peak(process: &Process) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line for it");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
