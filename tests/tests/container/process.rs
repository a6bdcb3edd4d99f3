//! Process 1: signals, exit codes, orphans.

use std::time::Duration;

use cluster_control_tests::{SOON, Sandbox, eventually, never};

use crate::engine::Container;

/// A runtime directory that the user of the image may write in: there is the embedded store.
pub(crate) const RUNTIME: [&str; 4] = ["--tmpfs", "/run:mode=0700,uid=65534", "--env", "XDG_RUNTIME_DIR=/run"];
const SERVE: [&str; 7] = ["run", "--cluster", "web", "--id", "a:80", "--", "/busybox"];

/// After this long `docker stop` kills, unless it is told otherwise.
const DOCKERS_PATIENCE: Duration = Duration::from_secs(10);

/// A shell that ends with 9 when it gets TERM.
const HEARS: &str = "trap 'echo got TERM; exit 9' TERM; echo child $$; sleep 1000 & while :; do wait; done";

fn serve(child: &[&str]) -> Container {
    let container = Container::start(&RUNTIME, &[&SERVE, child].concat());
    eventually(SOON, "it is registered", || container.log().contains("/clusters/web/a:80: registered"));
    container
}

/// `ContainerPilot` ends with 0, consul-template with 255.
pub(crate) fn stop_is_in_time_and_passes_the_status_on(_: &Sandbox) {
    for (child, code) in [(&["sleep", "1000"][..], 143), (&["sh", "-c", HEARS], 9)] {
        let container = serve(child);
        let took = container.stop();
        assert!(took < DOCKERS_PATIENCE, "it took {took:?}");
        let log = container.log();
        assert_eq!(container.wait(SOON), code, "{log}");
        assert!(log.contains("/clusters/web/a:80: deregistered"), "{log}");
        assert_eq!(log.contains("got TERM"), code == 9, "{log}");
    }
}

/// With the times that are usual, drain and kill fit into those ten seconds; else nobody would have deregistered.
pub(crate) fn a_deaf_child_is_killed_in_time(_: &Sandbox) {
    let took = || {
        let container = serve(&["sh", "-c", "trap '' TERM; while :; do sleep 1; done"]);
        let took = container.stop();
        let log = container.log();
        assert_eq!(container.wait(SOON), 137, "{log}");
        assert!(log.contains("/clusters/web/a:80: deregistered"), "{log}");
        took
    };
    // A machine that is busy with other things adds its own time; not three times in a row.
    assert!((0..3).any(|_| took() < DOCKERS_PATIENCE), "it takes too long");
}

pub(crate) fn its_status_is_passed_on(_: &Sandbox) {
    for (child, code) in [
        (&["/busybox", "sh", "-c", "exit 7"][..], 7),
        (&["/busybox", "sh", "-c", "kill -KILL $$"], 137),
        (&["/no-such-command"], 127),
        (&["no-such-command"], 127),
        (&["/not-executable"], 126),
    ] {
        let done = Container::finish(&RUNTIME, &[&SERVE[..6], child].concat(), SOON);
        assert_eq!((done.code, done.stdout.as_str()), (code, ""), "{child:?}: {done:?}");
    }
}

/// Process 1 inherits them. consul-template and others left them as zombies.
pub(crate) fn orphans_are_reaped(_: &Sandbox) {
    let forks = "for i in 1 2 3 4 5 6 7 8; do (sleep 1 & exec sleep 0.1) & done; wait; echo forked; exec sleep 1000";
    let container = serve(&["sh", "-c", forks]);
    eventually(SOON, "the parents have ended", || container.log().contains("forked"));
    let adopted = |processes: &str| processes.lines().filter(|line| is_adopted(line)).count();
    eventually(SOON, "the orphans have ended and are reaped", || adopted(&container.processes()) == 0);
    never(Duration::from_secs(2), "there is a zombie", || container.processes().lines().any(is_zombie));
    assert!(container.processes().contains("sleep 1000"), "the child still runs");
}

/// A child of process 1 that is not the child.
fn is_adopted(line: &str) -> bool {
    let words: Vec<_> = line.split_whitespace().collect();
    words.get(1) == Some(&"1") && !line.contains("1000")
}

fn is_zombie(line: &str) -> bool {
    line.split_whitespace().nth(2).is_some_and(|state| state.starts_with('Z'))
}

/// confd dies, consul-template restarts the child.
pub(crate) fn hup_reads_the_configuration_again(sandbox: &Sandbox) {
    let configuration = |watched: &[&str]| {
        let parts = watched.iter().map(|name| {
            format!(
                "[[watch]]\nname = \"{name}\"\n[[file]]\nkind = \"json\"\nwatch = [\"{name}\"]\ndest = \"/run/{name}.json\"\n"
            )
        });
        sandbox.write("etc/cluster-control.toml", parts.collect::<String>());
    };
    configuration(&["db"]);
    let volume = format!("{}:/etc/cluster-control:ro", sandbox.path("etc").display());
    let container = Container::start(
        &[&["--volume", &volume], &RUNTIME[..]].concat(),
        &[&SERVE[..], &["sh", "-c", HEARS]].concat(),
    );
    eventually(SOON, "the file is written", || container.read("/run/db.json") == "[]");
    eventually(SOON, "the child runs", || container.log().contains("child "));
    let before = container.processes();

    configuration(&["db", "cache"]);
    container.signal("HUP");
    eventually(SOON, "the new file is written", || container.read("/run/cache.json") == "[]");
    sandbox.write("etc/cluster-control.toml", "nonsense");
    container.signal("HUP");
    eventually(SOON, "the invalid one is refused", || container.log().contains("the configuration stays as it was"));

    let child = |processes: &str| {
        let line = processes.lines().find(|line| line.contains("got TERM") && is_child(line));
        line.unwrap_or_else(|| panic!("no child: {processes}")).split_whitespace().next().map(str::to_owned)
    };
    assert_eq!(child(&container.processes()), child(&before));
    container.stop();
    assert_eq!(container.wait(SOON), 9);
}

fn is_child(line: &str) -> bool {
    line.split_whitespace().nth(1) == Some("1")
}
