//! What most tests here begin with: a configuration, a child that keeps a diary, and a command that counts reloads.

use std::path::Path;

use cluster_control_tests::{Context, Process, SOON, eventually};

/// Writes down its process id when it listens, and when it got which signal; ends with 9 when it is asked to.
pub(crate) const CHILD: &str = "\
    trap 'echo TERM >> child.signals; kill $!; exit 9' TERM
    trap 'echo HUP >> child.signals' HUP
    sleep 1000 &
    echo $$ >> child.pids
    while :; do wait $!; done";

/// Counts, and keeps what it was told.
pub(crate) const RELOAD: &str = "cat > told.json; echo reload >> reloads";

/// Writes `cluster-control.toml` with the registry of this test and these sections.
pub(crate) fn configure(context: &Context, sections: &[String]) {
    let registry = format!("[registry]\nurl = \"{}\"\n", context.url());
    context.write("cluster-control.toml", [&[registry], sections].concat().concat());
}

/// `[self]`, with a short time to live.
pub(crate) fn own(context: &Context) -> String {
    own_key(context, &context.key())
}

/// The same with another key.
pub(crate) fn own_key(context: &Context, key: &str) -> String {
    format!("[self]\nkey = \"{key}\"\nttl = \"{}s\"\n", context.ttl())
}

/// `[[watch]]`, of the cluster `name` of this test alone.
pub(crate) fn watch(context: &Context, name: &str) -> String {
    format!("[[watch]]\nname = \"{name}\"\npath = \"{}\"\n", context.at(name))
}

/// `[[file]]`: `NAME.json`, with the names of the members.
pub(crate) fn json_file(name: &str, notify: &str) -> String {
    format!("[[file]]\nkind = \"json\"\nwatch = [\"{name}\"]\ndest = \"{name}.json\"\nnotify = [\"{notify}\"]\n")
}

/// `[[notify]]`: a script, which is not run for the files that are there when the child starts.
pub(crate) fn exec(name: &str, script: &str, more: &str) -> String {
    format!(
        "[[notify]]\nname = \"{name}\"\nkind = \"exec\"\nargv = [\"bash\", \"-c\", '''{script}''']\non_first = \"skip\"\n{more}\n"
    )
}

/// Starts `run` with [`CHILD`], and returns when the child runs.
pub(crate) fn run(context: &Context) -> Process {
    run_script(context, CHILD)
}

/// Starts `run` with a script that writes its id into `child.pids` when it is ready, and waits for that.
pub(crate) fn run_script(context: &Context, script: &str) -> Process {
    let process = context.program(["run", "--", "bash", "-c", script]).start();
    eventually(SOON, "the child runs", || context.lines("child.pids") > 0);
    process
}

/// The one child that was started, and still is there. Who is registered has a child, which may not have come to write yet.
pub(crate) fn child_id(context: &Context) -> u32 {
    eventually(SOON, "the child runs", || context.lines("child.pids") > 0);
    let ids = context.read("child.pids").expect("it is there");
    assert_eq!(ids.lines().count(), 1, "the child was started once");
    let id = ids.trim().parse().expect("a number");
    assert!(is_alive(id), "the child still runs");
    id
}

pub(crate) fn is_alive(id: u32) -> bool {
    Path::new(&format!("/proc/{id}")).exists()
}

/// Waits until the entry of this container stands in the registry.
pub(crate) fn registered(context: &Context) {
    eventually(SOON, "the entry is there", || context.witness.get(&context.key()).is_some());
}

/// Waits until a file holds these members.
pub(crate) fn holds(context: &Context, file: &str, members: &[&str]) {
    let wanted = format!("[{}]", members.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(","));
    eventually(SOON, &format!("{file} is {wanted}"), || context.read(file).as_deref() == Some(&wanted));
}

/// Fails when anything that was started in this test still runs.
pub(crate) fn nothing_is_left(context: &Context) {
    let left: Vec<_> = context
        .processes()
        .iter()
        .map(|id| (*id, std::fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default()))
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}
