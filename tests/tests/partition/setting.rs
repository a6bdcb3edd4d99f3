//! What these tests begin with.

use cluster_control_tests::{Context, Launch, Process, SOON, eventually};
use serde_json::Value;

/// Writes down with which part it begins, and that it ends; and complains when another one runs at the same time.
pub(crate) const WORKER: &str = "\
    mkdir working || echo two at once >> diary
    trap 'echo end >> diary; rmdir working; kill $!; exit 7' TERM
    echo begin {base} {workers} {total} \
        $CLUSTER_CONTROL_BASE $CLUSTER_CONTROL_WORKERS $CLUSTER_CONTROL_TOTAL >> diary
    sleep 1000 & wait $!";

/// The directory of the members in this test.
pub(crate) fn directory(context: &Context) -> String {
    context.at("app/production")
}

/// `partition` in the cluster of this test, with a name.
pub(crate) fn node<'a>(context: &Context, id: &'a str, more: impl IntoIterator<Item = &'a str>) -> Launch {
    partition(context, ["--id", id].into_iter().chain(more))
}

/// `partition` in the cluster of this test.
pub(crate) fn partition<'a>(context: &Context, more: impl IntoIterator<Item = &'a str>) -> Launch {
    let arguments = ["partition".to_owned(), context.at("app"), "--registry".to_owned(), context.url()];
    context.program(arguments.into_iter().chain(more.into_iter().map(str::to_owned)))
}

/// What was printed last: base, workers, total.
pub(crate) fn part(process: &Process) -> Option<(Option<u64>, u64, u64)> {
    // A line that is not complete yet does not count.
    let printed = process.stdout();
    let (complete, _) = printed.rsplit_once('\n')?;
    let last: Value = serde_json::from_str(complete.lines().last()?).expect("a line of JSON");
    assert!(last["index"].is_string(), "{last}");
    Some((last["base"].as_u64(), last["workers"].as_u64()?, last["total"].as_u64()?))
}

pub(crate) fn becomes(process: &Process, expected: (Option<u64>, u64, u64)) {
    eventually(SOON, &format!("the part becomes {expected:?}"), || part(process) == Some(expected));
}

/// Waits until the diary has exactly these lines.
pub(crate) fn diary_becomes(context: &Context, expected: &[&str]) {
    let what = format!("the diary is {expected:?}");
    let begun = std::time::Instant::now();
    while context.read("diary").unwrap_or_default().lines().ne(expected.iter().copied()) {
        assert!(begun.elapsed() < SOON, "{what}, but it is {:?}", context.read("diary"));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
