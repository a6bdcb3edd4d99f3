//! A command that does the work of its part.

use std::time::{Duration, Instant};

use cluster_control_tests::{Context, SOON, Signal, eventually, never};

use crate::setting::{WORKER, diary_becomes, directory, node};

pub(crate) fn a_change_starts_it_anew(context: &Context) {
    let mut working = node(context, "m", ["--workers", "2", "--", "bash", "-c", WORKER]).start();
    diary_becomes(context, &["begin 0 2 2 0 2 2"]);
    let mut other = node(context, "a", []).start();
    diary_becomes(context, &["begin 0 2 2 0 2 2", "end", "begin 1 2 3 1 2 3"]);
    other.signal(Signal::TERM);
    assert_eq!(other.wait(SOON), 0);
    let all = ["begin 0 2 2 0 2 2", "end", "begin 1 2 3 1 2 3", "end", "begin 0 2 2 0 2 2"];
    diary_becomes(context, &all);
    working.signal(Signal::TERM);
    assert_eq!(working.wait(SOON), 7, "the command's own status: {}", working.stderr());
    diary_becomes(context, &[&all[..], &["end"]].concat());
    assert_eq!(context.witness.names(&directory(context)), Vec::<String>::new());
    assert_eq!(working.stdout(), "", "stdout is the command's");
    eventually(SOON, "nothing is left", || context.processes().is_empty());
}

pub(crate) fn a_change_is_told_by_a_signal(context: &Context) {
    let script = "\
        trap 'cat part.json >> told' USR1
        cat part.json >> told
        echo $$ >> begun
        sleep 1000 & while :; do wait $!; done";
    let options = ["--on-change", "signal", "--signal", "USR1", "--file", "part.json", "--", "bash", "-c", script];
    let mut working = node(context, "m", options).start();
    eventually(SOON, "it has begun", || context.lines("begun") == 1);
    let _other = node(context, "a", ["--workers", "3"]).start();
    eventually(SOON, "it was told", || context.lines("told") == 2);
    let told = context.read("told").unwrap_or_default();
    let parts: Vec<_> = told.lines().map(|line| line.split(",\"index\"").next().unwrap_or_default()).collect();
    assert_eq!(parts, [r#"{"base":0,"workers":1,"total":1"#, r#"{"base":3,"workers":1,"total":4"#]);
    never(Duration::from_millis(300), "it is started again", || context.lines("begun") > 1);
    working.signal(Signal::TERM);
    assert_eq!(working.wait(SOON), 128 + 15, "{}", working.stderr());
    let files: Vec<_> = std::fs::read_dir(context.dir()).expect("a directory").flatten().collect();
    assert!(files.iter().all(|file| !file.file_name().to_string_lossy().contains("json.")), "{files:?}");
}

pub(crate) fn its_end_is_the_end(context: &Context) {
    let done = node(context, "m", ["--", "sh", "-c", "exit 5"]).finish(SOON);
    assert_eq!((done.code, done.stdout.as_str()), (5, ""), "{done:?}");
    assert_eq!(context.witness.names(&directory(context)), Vec::<String>::new());
}

pub(crate) fn who_does_not_listen_is_killed(context: &Context) {
    let script = "trap '' TERM; echo begun > begun; while :; do sleep 1; done";
    let mut working = node(context, "m", ["--grace", "1s", "--", "bash", "-c", script]).start();
    eventually(SOON, "it has begun", || context.lines("begun") == 1);
    working.signal(Signal::TERM);
    let begun = Instant::now();
    never(Duration::from_millis(300), "others may take it over already", || {
        context.witness.names(&directory(context)).is_empty()
    });
    assert_eq!(working.wait(SOON), 137, "{}", working.stderr());
    assert!(begun.elapsed() >= Duration::from_secs(1), "it had {:?} only", begun.elapsed());
    assert_eq!(context.witness.names(&directory(context)), Vec::<String>::new());
    eventually(SOON, "nothing is left", || context.processes().is_empty());
}

pub(crate) fn it_is_not_there(context: &Context) {
    let done = node(context, "m", ["--", "./no-such-command", "{base}"]).finish(SOON);
    assert_eq!((done.code, done.stdout.as_str()), (127, ""), "{done:?}");
    assert!(done.stderr.contains("no-such-command"), "{done:?}");
    assert_eq!(context.witness.names(&directory(context)), Vec::<String>::new());
    // A file that cannot be written is noticed before anything works with the wrong part.
    let arguments = ["--file", "no/such/part.json", "--", "touch", "worked"];
    let done = node(context, "m", arguments).finish(SOON);
    assert_eq!((done.code, context.read("worked")), (1, None), "{done:?}");
    assert!(done.stderr.contains("no/such/part.json"), "{done:?}");
}
