//! The program with a child, an entry of its own and a file, on any registry.

use cluster_control_tests::{Launch, SOON, Sandbox, eventually};

/// Writes down its id when it listens, and the signals that it gets; ends with 9 when it is asked to.
pub(crate) const CHILD: &str = "\
    trap 'echo TERM >> child.signals; kill $!; exit 9' TERM
    sleep 1000 &
    echo $$ >> child.pids
    while :; do wait $!; done";

/// The own entry.
pub(crate) const KEY: &str = "/web/10.0.0.1:80";
/// Where the members are whose names are written into `db.json`.
pub(crate) const CLUSTER: &str = "/db";

/// Writes the configuration; times are in seconds.
pub(crate) fn configure(sandbox: &Sandbox, url: &str, ttl: u64) {
    sandbox.write(
        "cluster-control.toml",
        format!(
            "[registry]\nurl = \"{url}\"\n[self]\nkey = \"{KEY}\"\nttl = \"{ttl}s\"\n\
             [[watch]]\nname = \"db\"\npath = \"{CLUSTER}\"\n\
             [[file]]\nkind = \"json\"\nwatch = [\"db\"]\ndest = \"db.json\"\n"
        ),
    );
}

/// `run` with [`CHILD`].
pub(crate) fn run(sandbox: &Sandbox) -> Launch {
    sandbox.program(["run", "--", "bash", "-c", CHILD])
}

/// Waits until `db.json` has these members.
pub(crate) fn holds(sandbox: &Sandbox, members: &[&str]) {
    let names: Vec<_> = members.iter().map(|name| format!("\"{name}\"")).collect();
    let wanted = format!("[{}]", names.join(","));
    eventually(SOON, &format!("db.json is {wanted}"), || sandbox.read("db.json").as_deref() == Some(&wanted));
}
