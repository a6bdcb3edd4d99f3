//! A change is told until it is heard.

use std::time::Duration;

use cluster_control_tests::{Context, SOON, eventually, never};

use crate::members::{join, prepare, reloads, shows};

/// The original ignored what became of the command.
pub(crate) fn a_failed_one_is_tried_again(context: &Context) {
    context.configure();
    let index = prepare(context);
    let command = "echo tried >> tries; test -e allowed && echo reloaded >> reloads";
    let mut watch = context.program(["cc:clusterwatch", "db", &index, "sh", "-c", command]).start();
    join(context, &["a"]);
    eventually(SOON, "a second attempt", || context.lines("tries") >= 2);
    assert!(watch.is_running() && shows(context, &["a"]) && reloads(context) == 0);
    context.write("allowed", "");
    eventually(SOON, "the reload", || reloads(context) == 1);
    never(Duration::from_secs(3), "it was told once more", || reloads(context) > 1);
}

/// The command of a start script has thirty seconds; what is said in a file of one's own can be shorter.
pub(crate) fn one_that_hangs(context: &Context) {
    let toml = format!(
        r#"
        [[watch]]
        name = "db"
        path = "{}"
        [[notify]]
        name = "reload"
        kind = "exec"
        argv = ["sh", "-c", "echo tried >> tries; test -e allowed || sleep 1000; echo reloaded >> reloads"]
        timeout = "1s"
        [[file]]
        kind = "json"
        watch = ["db"]
        dest = "db.json"
        on_empty = "render"
        notify = ["reload"]
        "#,
        context.at("db")
    );
    context.write("cluster-control.toml", toml);
    let arguments = ["--registry", &context.url(), "run", "--", "sleep", "2000"];
    let mut running = context.program(arguments).start();
    eventually(SOON, "the first file", || shows(context, &[]));
    join(context, &["a"]);
    eventually(SOON, "the first attempt", || context.lines("tries") >= 1);
    // It holds nothing else up.
    join(context, &["b"]);
    eventually(SOON, "the next change", || shows(context, &["a", "b"]));
    eventually(SOON, "two more attempts", || context.lines("tries") >= 3);
    assert!(sleepers(context) <= 1, "what was given up goes on");
    context.write("allowed", "");
    eventually(SOON, "the reload", || reloads(context) == 1);
    eventually(SOON, "the end of what was given up", || sleepers(context) == 0);
    assert!(running.is_running());
}

/// How many of the hanging commands are there.
fn sleepers(context: &Context) -> usize {
    let command = |id| std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    context.processes().into_iter().filter(|id| command(*id) == b"sleep\x001000\x00").count()
}
