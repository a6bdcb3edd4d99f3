//! Somebody turns the clock of the machine by an hour. Nothing that matters counts by it.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use cluster_control_tests::{Context, Launch, SOON, eventually, never};

use crate::program::{CLUSTER, KEY, configure, holds, run};

/// Says every moment what it takes for the time.
const CHILD_CLOCK: &str = "while :; do date +%s > child.clock.new; mv child.clock.new child.clock; sleep 0.1; done";
const HOUR: i64 = 3600;

/// The library that pretends another time to a program, where there is one.
pub(crate) fn is_possible() -> Result<(), String> {
    library().map(drop)
}

fn library() -> Result<PathBuf, String> {
    let places = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let files = places.map(|place| place.join("faketime/libfaketimeMT.so.1"));
    files
        .chain([PathBuf::from("/usr/lib/faketime/libfaketimeMT.so.1")])
        .find(|file| file.exists())
        .ok_or_else(|| "there is no libfaketime (Debian: apt install faketime)".to_owned())
}

pub(crate) fn a_turned_clock_changes_nothing(context: &Context) {
    configure(context, &context.url(), 3);
    turn(context, 0);
    context.witness.put(&format!("{CLUSTER}/m"), "v");
    let mut pretended = pretending(context, run(context)).start();
    holds(context, &["m"]);
    // It says so a moment after others can see it.
    eventually(SOON, "it says that it is registered", || pretended.stderr().contains(": registered"));
    let clock = pretending(context, context.script(CHILD_CLOCK)).start();
    let before = modified(context);
    let said = pretended.stderr();
    for hours in [1, -1, 0] {
        turn(context, hours);
        eventually(SOON, "the pretence works", || {
            let told = context.read("child.clock").and_then(|time| time.trim().parse::<i64>().ok());
            told.is_some_and(|told| (told - now() - hours * HOUR).abs() < 60)
        });
        // Three times to live: more than one renewal, and time for an entry to expire.
        never(Duration::from_secs(9), "a turned clock is visible", || {
            context.witness.get(KEY).is_none() || modified(context) != before || !pretended.is_running()
        });
        assert_eq!(pretended.stderr(), said, "it had nothing to say");
    }
    context.witness.put(&format!("{CLUSTER}/n"), "v");
    holds(context, &["m", "n"]);
    assert_eq!((context.lines("child.pids"), context.lines("child.signals")), (1, 0));
    drop(clock);
}

/// The timers' clock is the kernel's own: only that of the wall is turned.
fn pretending(context: &Context, launch: Launch) -> Launch {
    launch
        .env("LD_PRELOAD", library().expect("it was found before"))
        .env("FAKETIME_TIMESTAMP_FILE", context.path("clock"))
        .env("FAKETIME_NO_CACHE", "1")
        .env("DONT_FAKE_MONOTONIC", "1")
}

fn turn(context: &Context, hours: i64) {
    // Whole or not at all: it is read all the time.
    let new = context.write("clock.new", format!("{:+}\n", hours * HOUR));
    fs::rename(new, context.path("clock")).expect("renamed");
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    since.as_secs().try_into().expect("not that late")
}

fn modified(context: &Context) -> std::time::SystemTime {
    fs::metadata(context.path("db.json")).and_then(|about| about.modified()).expect("a file")
}
