//! Who waits for a server that is away leaves the processor to others.

use std::thread::sleep;
use std::time::{Duration, Instant};

use cluster_control_tests::{Context, Process, SOON, Sandbox, eventually};

/// For how long it is looked at. The bound is a part of it, however long it is on a machine that is busy.
const LOOK: Duration = Duration::from_secs(12);
/// Of one processor.
const PERCENT: u128 = 5;

/// One registration and three watches, while connections are refused, and while nothing is answered.
pub(crate) fn while_the_server_is_away(context: &Context) {
    let watches: String = ["a", "b", "c"]
        .map(|name| {
            format!(
                "[[watch]]\nname = \"{name}\"\npath = \"{}\"\n\
                 [[file]]\nkind = \"json\"\nwatch = [\"{name}\"]\ndest = \"{name}.json\"\non_empty = \"render\"\n",
                context.at(name)
            )
        })
        .concat();
    let (url, key, ttl) = (context.url(), context.key(), context.ttl());
    context.write(
        "cluster-control.toml",
        format!("[registry]\nurl = \"{url}\"\n[self]\nkey = \"{key}\"\nttl = \"{ttl}s\"\n{watches}"),
    );
    let mut run = Sandbox::program(context, ["run", "--", "sleep", "1000"]).start();
    registered(&run, 1);
    eventually(SOON, "the files are written", || {
        ["a.json", "b.json", "c.json"].iter().all(|file| context.read(file).is_some())
    });

    context.server().kill();
    eventually(Duration::from_mins(1), "the loss is said", || stale(&run) >= 3);
    costs_little(&mut run, "refused");
    context.server().start_again();
    registered(&run, 2);
    eventually(Duration::from_mins(1), "all are fresh again", || fresh(&run) >= 3);

    context.server().pause();
    eventually(Duration::from_mins(2), "the silence is said", || stale(&run) >= 6);
    costs_little(&mut run, "frozen");
    context.server().unpause();
    registered(&run, 3);
}

fn registered(run: &Process, times: usize) {
    eventually(Duration::from_mins(1), &format!("it is registered, {times} times"), || {
        run.stderr().matches(": registered").count() >= times
    });
}

fn stale(run: &Process) -> usize {
    run.stderr().matches("stale since").count()
}

fn fresh(run: &Process) -> usize {
    run.stderr().matches("fresh again").count()
}

fn costs_little(run: &mut Process, how: &str) {
    let (begun, before) = (Instant::now(), run.processor_time());
    sleep(LOOK);
    let (used, elapsed) = (run.processor_time().saturating_sub(before), begun.elapsed());
    println!("{how}: {used:?} of {elapsed:?}");
    assert!(run.is_running());
    assert!(
        used.as_millis() * 100 < elapsed.as_millis() * PERCENT,
        "{how}: {used:?} of the processor's time in {elapsed:?}: {}",
        run.stderr()
    );
}
