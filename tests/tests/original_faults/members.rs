//! The cluster `db` and its file, as the tests use them.

use std::time::Duration;

use cluster_control_tests::{Context, Process, SOON, eventually, never};

/// Appends a line, as a server would reload.
pub(crate) const RELOAD: [&str; 3] = ["sh", "-c", "echo reloaded >> reloads"];

/// Puts members into the cluster.
pub(crate) fn join(context: &Context, names: &[&str]) {
    for name in names {
        context.witness.put(&context.at(&format!("db/{name}")), "0");
    }
}

/// Takes a member out of the cluster.
pub(crate) fn leave(context: &Context, name: &str) {
    assert!(context.witness.remove(&context.at(&format!("db/{name}"))), "{name} was not there");
}

/// Writes the file, and returns the index.
pub(crate) fn prepare(context: &Context) -> String {
    let done = context.program(["cc:clusterprepare", "db"]).finish(SOON);
    assert_eq!(done.code, 0, "{done:?}");
    done.stdout.trim_end().to_owned()
}

/// Watches the cluster from an index, and reloads after each change.
pub(crate) fn follow(context: &Context, index: &str) -> Process {
    context.program(["cc:clusterwatch", "db", index].into_iter().chain(RELOAD)).start()
}

/// How often the command was run.
pub(crate) fn reloads(context: &Context) -> usize {
    context.lines("reloads")
}

/// Whether the file shows these members: sorted, as the original wrote them.
pub(crate) fn shows(context: &Context, names: &[&str]) -> bool {
    let names: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
    context.read("db.json") == Some(format!("[{}]", names.join(",")))
}

/// A member is a key in the directory; what lies in a directory below is none, nor is what only begins with the same
/// letters.
pub(crate) fn a_directory_is_none(context: &Context) {
    context.configure();
    join(context, &["a", "sub/x"]);
    context.witness.put(&context.at("dbx/z"), "0");
    let index = prepare(context);
    assert!(shows(context, &["a"]), "{:?}", context.read("db.json"));

    let _watch = follow(context, &index);
    join(context, &["sub/y", "sub/deeper/z"]);
    never(Duration::from_secs(2), "a directory is taken for a member", || reloads(context) > 0);
    join(context, &["b"]);
    eventually(SOON, "the new member", || shows(context, &["a", "b"]) && reloads(context) == 1);
}
