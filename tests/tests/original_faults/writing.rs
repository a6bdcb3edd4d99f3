//! The file is always whole, and is written in the end.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use cluster_control_tests::{Context, SOON, eventually, never};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::members::{follow, join, prepare, reloads, shows};

/// So long that a file with some of them is larger than one page, and is not written at once by accident.
fn long_name(number: usize) -> String {
    format!("{number:03}-{}", "x".repeat(200))
}

fn names(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Whoever reads the file while it changes sees an old or a new one. The original wrote in place.
pub(crate) fn replaced_whole(context: &Context) {
    context.configure();
    let all: Vec<_> = (0..60).map(long_name).collect();
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    join(context, &all[..30]);
    let _watch = follow(context, &prepare(context));
    let path = context.path("db.json");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut inodes = BTreeSet::new();
            while !stop.load(Ordering::Relaxed) {
                let text = fs::read_to_string(&path).expect("the file is always there");
                let names = names(&text);
                assert!(names.len() >= 30 && names.is_sorted(), "{text}");
                inodes.insert(fs::metadata(&path).expect("the file is always there").ino());
            }
            inodes.len()
        });
        // One at a time, so that the file changes many times.
        for name in &all[30..] {
            join(context, &[name]);
            never(Duration::from_millis(100), "the reader failed", || reader.is_finished());
        }
        eventually(SOON, "all members", || reader.is_finished() || shows(context, &all));
        stop.store(true, Ordering::Relaxed);
        let inodes = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        assert!(inodes > 3, "{inodes} different files were seen");
    });
    // Nothing half-written is left beside it.
    let mut left: Vec<_> =
        fs::read_dir(context.dir()).expect("the directory").flatten().map(|entry| entry.file_name()).collect();
    left.sort();
    assert_eq!(left, ["cluster-control.conf", "db.json", "reloads"]);
}

/// What cannot be written now is written as soon as it can be, without waiting for another change; then it is told.
pub(crate) fn missing_directory(context: &Context) {
    let original = context.original().cluster("db", &context.at("db"), "out/db.json");
    context.write("cluster-control.conf", original.json());
    context.write("out/db.json", "[]");
    join(context, &["a"]);
    let mut watch = follow(context, &prepare(context));
    join(context, &["b"]);
    let written = || context.read("out/db.json");
    eventually(SOON, "the first change", || written().as_deref() == Some(r#"["a","b"]"#) && reloads(context) == 1);

    fs::rename(context.path("out"), context.path("away")).expect("a rename");
    join(context, &["c"]);
    eventually(SOON, "a complaint", || watch.stderr().contains("the old file stays"));
    assert!(watch.is_running() && reloads(context) == 1, "it was told what was not written");
    fs::rename(context.path("away"), context.path("out")).expect("a rename");
    eventually(SOON, "the second change", || written().as_deref() == Some(r#"["a","b","c"]"#) && reloads(context) == 2);
}

/// With no space for the new file the old one stays. A limit on the size of files does what a full disk does, and needs no
/// rights.
pub(crate) fn full_disk(context: &Context) {
    context.configure();
    let all: Vec<_> = (0..60).map(long_name).collect();
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    join(context, &all[..1]);
    let index = prepare(context);
    // In blocks of 1024 bytes; who does not ignore the signal is ended by it.
    let script = format!(
        "ulimit -S -f 4; trap '' XFSZ; exec \"$CLUSTERCONTROL\" cc:clusterwatch db {index} sh -c 'echo reloaded >> reloads'"
    );
    let mut watch = context.script(&script).start();
    join(context, &all);
    eventually(SOON, "a complaint", || watch.stderr().contains("the old file stays"));
    never(Duration::from_secs(2), "a file that does not fit was written", || {
        let known = names(&context.read("db.json").expect("the old file"));
        known.is_empty() || known.len() > 20
    });
    let left = fs::read_dir(context.dir()).expect("the directory").flatten();
    let temporary: Vec<_> =
        left.map(|entry| entry.file_name()).filter(|name| name.to_string_lossy().contains("db.json")).collect();
    assert_eq!(temporary, ["db.json"], "what could not be finished was left behind");
    let told = reloads(context);

    let unlimited = Rlimit { current: None, maximum: None };
    let pid = Pid::from_raw(watch.id().cast_signed()).expect("an id");
    prlimit(Some(pid), Resource::Fsize, unlimited).expect("the limit of one's own child");
    eventually(SOON, "the file fits", || shows(context, &all) && reloads(context) == told + 1);
    assert!(watch.is_running());
}
