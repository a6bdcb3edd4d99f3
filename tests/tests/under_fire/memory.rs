//! An agent that is started again, or reads its configuration again, in the middle of an outage: it knew who was there.

use std::thread::sleep;
use std::time::{Duration, Instant};

use cluster_control_tests::{Backend, Context, Process, SOON, Signal, eventually, never};

use crate::trial::{A, B, C, put};

/// What a child says that does nothing about it.
const ENDED_BY_TERM: i32 = 128 + 15;
/// Longer than two thirds of the shortest TTL of any of these registries.
const AWAY: Duration = Duration::from_secs(4);

/// Files with these names, which all show the same.
fn configure(context: &Context, grace: Duration, files: &[&str]) {
    let watch =
        format!("[[watch]]\nname = \"db\"\npath = \"{}\"\ngrace = \"{}s\"\n", context.at("db"), grace.as_secs());
    let file = |name: &&str| {
        format!("[[file]]\nkind = \"json\"\nwatch = [\"db\"]\ndest = \"{}\"\n", context.path(name).display())
    };
    let text: String = std::iter::once(watch).chain(files.iter().map(file)).collect();
    context.write("cluster-control.toml", text);
}

/// Returns when it follows the members, which is when its child runs.
fn start(context: &Context) -> Process {
    let _ = std::fs::remove_file(context.path("started"));
    let child = "echo > started; exec sleep 1000";
    let launch = context.program(["run", "--config", "cluster-control.toml", "--", "sh", "-c", child]);
    let process = launch.env("CLUSTER_CONTROL_REGISTRY", context.url()).start();
    eventually(SOON, "its child runs", || context.path("started").exists());
    process
}

fn start_with_three(context: &Context) -> Process {
    for member in [A, B, C] {
        put(context, member);
    }
    let agent = start(context);
    holds(context, "db.json", &[A, B, C]);
    agent
}

fn stop(mut agent: Process) {
    agent.signal(Signal::TERM);
    assert_eq!(agent.wait(SOON), ENDED_BY_TERM);
}

fn names(context: &Context, file: &str) -> Vec<String> {
    context.read(file).map_or_else(Vec::new, |text| serde_json::from_str(&text).expect("a whole file"))
}

fn holds(context: &Context, file: &str, members: &[&str]) {
    eventually(SOON * 2, &format!("{file} holds {members:?}"), || names(context, file) == members);
}

/// The registry loses everything, and one member is back before the others.
fn lose_everything(context: &Context) {
    match context.backend {
        Backend::Sqlite => {
            for ending in ["", "-wal", "-shm"] {
                let _ = std::fs::remove_file(context.runtime_dir().join(format!("registry.db{ending}")));
            }
        }
        _ => context.server().wipe(),
    }
    eventually(SOON, "the first is back", || {
        put(context, A);
        context.witness.names(&context.at("db")) == [A]
    });
}

pub(crate) fn a_start_in_an_outage_forgets_nobody(context: &Context) {
    let grace = Duration::from_secs(5);
    configure(context, grace, &["db.json"]);
    let agent = start_with_three(context);
    stop(agent);

    lose_everything(context);
    // As in a container whose files are made anew when it starts.
    std::fs::remove_file(context.path("db.json")).expect("it was there");
    let agent = start(context);
    let begun = Instant::now();
    holds(context, "db.json", &[A, B, C]);
    put(context, B);
    // Nobody is missing until the grace is over, and then who has not come back is gone.
    eventually(SOON * 2, "the member that did not come back is gone", || {
        let names = names(context, "db.json");
        assert!(names.contains(&A.to_owned()) && names.contains(&B.to_owned()), "{names:?}");
        !names.contains(&C.to_owned())
    });
    assert!(begun.elapsed() + Duration::from_secs(1) > grace, "gone after {:?}", begun.elapsed());
    stop(agent);
}

pub(crate) fn a_reload_in_an_outage_forgets_nobody(context: &Context) {
    configure(context, Duration::from_mins(2), &["db.json"]);
    let mut agent = start_with_three(context);
    if context.backend != Backend::Sqlite {
        context.server().kill();
    }
    // A new file needs nothing that is not known.
    configure(context, Duration::from_mins(2), &["db.json", "more.json"]);
    agent.signal(Signal::HUP);
    holds(context, "more.json", &[A, B, C]);
    if context.backend != Backend::Sqlite {
        context.server().start_again();
    }
    lose_everything(context);
    // Another grace needs another subscription.
    configure(context, Duration::from_mins(3), &["db.json", "more.json", "most.json"]);
    agent.signal(Signal::HUP);
    holds(context, "most.json", &[A, B, C]);
    never(Duration::from_secs(2), "somebody is forgotten", || {
        ["db.json", "more.json", "most.json"].iter().any(|file| names(context, file) != [A, B, C])
    });
    stop(agent);
}

/// Who left in good order is not waited for, where the registry can say so.
pub(crate) fn who_left_before_the_start_is_gone(context: &Context) {
    configure(context, Duration::from_mins(5), &["db.json"]);
    let agent = start_with_three(context);
    stop(agent);
    assert!(context.witness.remove(&context.at(&format!("db/{C}"))), "it was there");
    sleep(AWAY);
    let agent = start(context);
    holds(context, "db.json", &[A, B]);
    stop(agent);
}
