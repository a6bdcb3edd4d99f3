//! Several containers and one registry.

use std::time::{Duration, Instant};

use cluster_control_tests::{Context, SOON, Sandbox, eventually, never};

use crate::engine::{Container, docker};
use crate::image::SHARED;

/// The embedded store in a directory that several containers share.
const STORE: [&str; 2] = ["--env", "CLUSTER_CONTROL_REGISTRY=sqlite:///shared/registry.db"];
const CHILD: [&str; 4] = ["--", "/busybox", "sh", "-c"];
const HEARS: &str = "trap 'echo got TERM; exit 9' TERM; sleep 1000 & while :; do wait; done";

/// Runs one command of the program beside a container, on the same store.
fn beside(container: &Container, arguments: &[&str]) -> cluster_control_tests::Finished {
    let options = [&["--volumes-from", container.name()][..], &STORE].concat();
    Container::finish(&options, arguments, SOON)
}

fn serve(options: &[&str], id: &str) -> Container {
    let container = Container::start(
        &[options, &STORE].concat(),
        &[&["run", "--cluster", "web", "--id", id], &CHILD[..], &[HEARS]].concat(),
    );
    eventually(SOON, "it is registered", || container.log().contains(": registered"));
    container
}

pub(crate) fn evicted_by_another_container(_: &Sandbox) {
    let container = serve(&["--volume", SHARED], "a:80");
    let members = beside(&container, &["members", "web"]);
    assert_eq!((members.code, members.stdout.as_str()), (0, "a:80\n"), "{members:?}");

    let evicted = beside(&container, &["evict", "web", "a:80"]);
    assert_eq!((evicted.code, evicted.stdout.as_str(), evicted.stderr.as_str()), (0, "", ""));
    assert_eq!(container.wait(Duration::from_secs(10)), 3, "{}", container.log());
    let log = container.log();
    assert!(log.contains("evicted") && log.contains("got TERM"), "{log}");
    let members = beside(&container, &["members", "web", "--fail-empty"]);
    assert_eq!((members.code, members.stdout.as_str()), (4, ""), "{members:?}");
}

/// Two containers that know nothing of each other but the store write each other's name into their files.
pub(crate) fn containers_see_each_other(sandbox: &Sandbox) {
    sandbox.write(
        "etc/cluster-control.toml",
        "[[watch]]\nname = \"web\"\n[[file]]\nkind = \"json\"\nwatch = [\"web\"]\ndest = \"/run/web.json\"\non_empty = \"render\"\n",
    );
    let etc = format!("{}:/etc/cluster-control:ro", sandbox.path("etc").display());
    let options = ["--volume", &etc, "--tmpfs", "/run:mode=0700,uid=65534"];
    let first = serve(&[&options[..], &["--volume", SHARED]].concat(), "a:80");
    let second = serve(&[&options[..], &["--volumes-from", first.name()]].concat(), "b:80");
    for container in [&first, &second] {
        eventually(SOON, "it sees both", || container.read("/run/web.json") == r#"["a:80","b:80"]"#);
    }
    second.stop();
    assert_eq!(second.wait(SOON), 9);
    // Its time to live is 15 s: it is gone by its own hand.
    eventually(Duration::from_secs(10), "it sees that the other one is gone", || {
        first.read("/run/web.json") == r#"["a:80"]"#
    });
    docker(&["kill", first.name()]);
    let begun = Instant::now();
    let members = || beside(&second, &["members", "web"]).stdout;
    assert_eq!(members(), "a:80\n", "one that was killed is a member until its time to live is over");
    eventually(Duration::from_secs(40), "it expires", || members().is_empty());
    assert!(begun.elapsed() > Duration::from_secs(8), "it expired after {:?}", begun.elapsed());
}

/// With a server: what others see of a container that is stopped.
pub(crate) fn stop_deregisters(context: &Context) {
    let url = format!("CLUSTER_CONTROL_REGISTRY={}", context.url());
    let key = context.key();
    let container = Container::start(
        // The server listens on the machine's loopback.
        &["--network", "host", "--env", &url],
        &[&["run", "--key", &key], &CHILD[..], &[HEARS]].concat(),
    );
    eventually(SOON, "it is registered", || context.witness.get(&key).is_some());
    container.signal("TERM");
    eventually(SOON, "it vanishes", || context.witness.get(&key).is_none());
    assert_eq!(container.wait(Duration::from_secs(10)), 9, "{}", container.log());
    never(Duration::from_secs(1), "it comes back", || context.witness.get(&key).is_some());
}
