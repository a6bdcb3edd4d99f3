//! How often, and how surely, the readers of the files are told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster_control_tests::{Context, SOON, Signal, block_on, eventually, never};
use registry::{Key, RegisterOptions, Registration, Registry, RegistryExt};

use crate::setting::{
    CHILD, RELOAD, child_id, configure, exec, holds, is_alive, json_file, nothing_is_left, run, run_script, watch,
};

/// CC: 18 reloads in 20 s.
pub(crate) fn heartbeats_reload_nothing(context: &Context) {
    configure(context, &[watch(context, "db"), exec("reload", RELOAD, ""), json_file("db", "reload")]);
    let members: Vec<_> = (1..=4).map(|number| format!("10.0.0.{number}:3306")).collect();
    let _kept = announce(context, &members);
    // The fifth sends its heartbeats as the original scripts did: it writes the same value again and again.
    let beat = || context.witness.put(&context.at("db/10.0.0.5:3306"), "0");
    beat();
    let _run = run(context);
    holds(context, "db.json", &["10.0.0.1:3306", "10.0.0.2:3306", "10.0.0.3:3306", "10.0.0.4:3306", "10.0.0.5:3306"]);
    let written = modified(context, "db.json");

    // Each of their leases is renewed several times.
    let mut next = Instant::now();
    never(Duration::from_secs(10), "a heartbeat made a reload", || {
        if Instant::now() >= next {
            beat();
            next = Instant::now() + Duration::from_millis(500);
        }
        context.lines("reloads") > 0 || modified(context, "db.json") != written
    });

    context.witness.remove(&context.at("db/10.0.0.5:3306"));
    eventually(SOON, "a real change is told", || context.lines("reloads") == 1);
}

/// confd: 40 reloads.
pub(crate) fn a_burst_is_told_once(context: &Context) {
    let lines = "[[file]]\nkind = \"lines\"\nwatch = [\"db\"]\ndest = \"db.txt\"\nnotify = [\"reload\"]\n".into();
    configure(context, &[watch(context, "db"), exec("reload", RELOAD, ""), json_file("db", "reload"), lines]);
    let _run = run(context);
    holds(context, "db.json", &[]);

    let members: Vec<_> = (10..30).map(|number| format!("10.0.0.{number}:3306")).collect();
    let begun = Instant::now();
    let _kept = announce(context, &members);
    holds(context, "db.json", &members.iter().map(String::as_str).collect::<Vec<_>>());
    eventually(SOON, "the last state is told", || {
        context.read("told.json").is_some_and(|told| members.iter().all(|member| told.contains(member.as_str())))
    });
    // The first change at once, the others together at the end of the window. Only on a machine that is so slow that the
    // burst outlasts a window, until the program has heard of all of it, there may be one for each.
    let window = Duration::from_millis(200);
    let allowed = 2 + usize::try_from(begun.elapsed().as_millis() / window.as_millis()).expect("it was short");
    // The word of one file may come before the other one is written.
    eventually(SOON, "the other file holds them too", || context.lines("db.txt") == 20);
    never(Duration::from_secs(1), "it is told again", || context.lines("reloads") > allowed);
}

/// confd: never retried.
pub(crate) fn a_failed_reload_is_retried(context: &Context) {
    let script = "echo try >> tries; if [ $(wc -l < tries) = 1 ]; then exit 1; fi; cat > told.json";
    let notify = exec("reload", script, "retry = { base = \"300ms\" }");
    configure(context, &[watch(context, "db"), notify, json_file("db", "reload")]);
    let mut run = run(context);
    context.witness.put(&context.at("db/10.0.0.9:3306"), "0");
    eventually(SOON, "the second attempt", || context.lines("tries") == 2);
    eventually(SOON, "it is told", || context.read("told.json").is_some_and(|told| told.contains("10.0.0.9:3306")));
    never(Duration::from_secs(1), "what was heard is told again", || context.lines("tries") > 2);
    let said = run.stderr();
    assert!(said.contains("reload") && said.contains("exited with code 1"), "{said}");
    assert!(run.is_running());
}

/// confd: blocks the other template, and leaves an orphan.
pub(crate) fn a_hanging_reload_blocks_nobody(context: &Context) {
    // Two processes: killing the first alone would leave the second.
    let hanging = "sleep 1000 & echo $! >> hanging; echo $$ >> hanging; wait";
    let sections = [
        watch(context, "db"),
        watch(context, "cache"),
        exec("hanging", hanging, "timeout = \"2s\"\nretry = { base = \"1m\" }"),
        exec("reload", RELOAD, ""),
        json_file("db", "hanging"),
        json_file("cache", "reload"),
    ];
    configure(context, &sections);
    let run = run(context);
    context.witness.put(&context.at("db/10.0.0.9:3306"), "0");
    eventually(SOON, "the reload hangs", || context.lines("hanging") == 2);
    let begun = Instant::now();
    context.witness.put(&context.at("cache/10.0.0.7:6379"), "0");
    eventually(SOON, "the other file is told", || context.lines("reloads") == 1);
    holds(context, "cache.json", &["10.0.0.7:6379"]);

    let ids: Vec<u32> =
        context.read("hanging").expect("it hangs").lines().map(|id| id.parse().expect("an id")).collect();
    eventually(SOON, "the group is killed", || ids.iter().all(|id| !is_alive(*id)));
    assert!(begun.elapsed() < Duration::from_secs(8), "its timeout was 2 s, and it took {:?}", begun.elapsed());
    eventually(SOON, "it is said", || run.stderr().contains("took longer than 2s"));
    child_id(context);
}

/// confd: an orphan `sleep` after TERM.
pub(crate) fn a_hanging_reload_does_not_outlive_the_program(context: &Context) {
    let hanging = exec("hanging", "trap '' TERM; sleep 1000 & echo $! >> hanging; wait", "timeout = \"1h\"");
    configure(context, &[watch(context, "db"), hanging, json_file("db", "hanging")]);
    let mut run = run_script(context, CHILD);
    context.witness.put(&context.at("db/10.0.0.9:3306"), "0");
    eventually(SOON, "the reload hangs", || context.lines("hanging") == 1);
    run.signal(Signal::TERM);
    assert_eq!(run.wait(Duration::from_secs(10)), 9);
    nothing_is_left(context);
}

/// Registers members of `db` as another program would, all at once.
fn announce(context: &Context, names: &[String]) -> Vec<Registration> {
    let url = context.url();
    // Renewed in time on a machine that is busy, too.
    let options = RegisterOptions::new().ttl(Duration::from_secs(2 * context.ttl()));
    block_on(async {
        let registry: Arc<dyn Registry> = registry::connect(&url).expect("a registry");
        let tasks: Vec<_> = names
            .iter()
            .map(|name| {
                let (registry, key) = (Arc::clone(&registry), Key::parse(&context.at(&format!("db/{name}"))));
                tokio::spawn(async move { registry.announce(key.expect("a key"), "0", options).await })
            })
            .collect();
        let mut kept = Vec::new();
        for task in tasks {
            kept.push(task.await.expect("it does not panic").expect("it registers"));
        }
        kept
    })
}

fn modified(context: &Context, file: &str) -> std::time::SystemTime {
    std::fs::metadata(context.path(file)).and_then(|about| about.modified()).expect("a file")
}
