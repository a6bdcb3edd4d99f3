//! Before there is a child: a request to end is heard wherever `run` waits, and HUP ends nothing.

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use cluster_control_tests::{Context, Process, SOON, Sandbox, Signal, eventually, never};

use crate::setting::{
    IN_TIME, Lease, child_id, configure, forget, json_file, nothing_is_left, own, registered, script, start, template,
    watch,
};

/// How `run` is asked to end, and what it ends with.
const REQUESTS: [(Signal, i32); 3] = [(Signal::TERM, 143), (Signal::INT, 130), (Signal::QUIT, 131)];
/// Nobody listens there.
const NOBODY: &str = "etcd://127.0.0.1:1";
const SCHEMES: [&str; 4] = ["etcd", "etcd-v2", "consul-kv", "consul"];

/// Brings `run` to the point at which it waits, with what keeps it there; asks it to end in each way, and wants that at once.
fn at<K>(sandbox: &Sandbox, arrive: impl Fn() -> (Process, K)) {
    for (request, code) in REQUESTS {
        let (mut run, _keeps) = arrive();
        // It would end a program that does not listen yet.
        run.signal(Signal::HUP);
        never(Duration::from_millis(300), "it ends", || !run.is_running());
        run.signal(request);
        assert_eq!(run.wait(IN_TIME), code, "{request:?}: {}", run.stderr());
        assert_eq!(sandbox.lines("child.pids"), 0, "the child was started");
        nothing_is_left(sandbox);
        forget(sandbox, &["asked"]);
    }
}

/// Brings it to where it opens a file.
fn opening(sandbox: &Sandbox, file: &str) -> (Process, Lease) {
    let lease = Lease::take(sandbox, file);
    let run = start(sandbox);
    lease.is_asked();
    (run, lease)
}

pub(crate) fn reading_the_configuration(sandbox: &Sandbox) {
    configure(sandbox, NOBODY, &[]);
    at(sandbox, || opening(sandbox, "cluster-control.toml"));
}

pub(crate) fn reading_a_template(sandbox: &Sandbox) {
    sandbox.write("page.j2", "{{ members }}");
    configure(sandbox, NOBODY, &[watch("db", "/db"), template("db")]);
    at(sandbox, || opening(sandbox, "page.j2"));
}

/// It rests between two attempts.
pub(crate) fn connecting(sandbox: &Sandbox) {
    for scheme in SCHEMES {
        configure(
            sandbox,
            &format!("{scheme}://127.0.0.1:1"),
            &[own("/web/a"), watch("db", "/db"), json_file("db", "")],
        );
        at(sandbox, || {
            let run = start(sandbox);
            eventually(SOON, "it waits for the registry", || run.stderr().contains("waiting for"));
            (run, ())
        });
    }
}

/// A server takes the connection, and says nothing.
pub(crate) fn listing(sandbox: &Sandbox) {
    for scheme in SCHEMES {
        let server = TcpListener::bind("127.0.0.1:0").expect("a port");
        server.set_nonblocking(true).expect("a mode");
        let address = server.local_addr().expect("an address");
        configure(sandbox, &format!("{scheme}://{address}"), &[own("/web/a"), watch("db", "/db"), json_file("db", "")]);
        at(sandbox, || {
            let run = start(sandbox);
            let mut accepted: Vec<TcpStream> = Vec::new();
            eventually(SOON, "it connects", || {
                accepted.extend(server.accept().map(|(connection, _)| connection));
                !accepted.is_empty()
            });
            (run, accepted)
        });
    }
}

/// The check has an hour, is deaf, and has started something that left its group.
pub(crate) fn checking_a_file(context: &Context) {
    let hang = "trap '' TERM; setsid sleep 1000 & echo >> asked; sleep 1000";
    let check = format!("{}check_timeout = \"1h\"", script("check", hang));
    configure(context, &context.url(), &[own(&context.key()), watch("db", &context.at("db")), json_file("db", &check)]);
    at(context, || {
        let run = start(context);
        eventually(SOON, "the check runs", || context.lines("asked") > 0);
        (run, ())
    });
    assert_eq!(context.read("db.json"), None, "what was not checked was written");
}

/// What was asked for before there was a child is done when there is one: the file may have changed since it was read.
pub(crate) fn hup_is_remembered(context: &Context) {
    let check = script("check", "echo >> asked; while [ ! -e end ]; do sleep 0.02; done");
    let first = [own(&context.key()), watch("db", &context.at("db")), json_file("db", &check)];
    configure(context, &context.url(), &first);
    let mut run = start(context);
    eventually(SOON, "the check runs", || context.lines("asked") > 0);
    let more = [watch("cache", &context.at("cache")), json_file("cache", "")];
    configure(context, &context.url(), &[&first[..], &more[..]].concat());
    for _ in 0..20 {
        run.signal(Signal::HUP);
    }
    never(Duration::from_millis(500), "it ends, or does not wait", || {
        !run.is_running() || context.read("cache.json").is_some()
    });
    context.write("end", "");
    eventually(SOON, "the newest configuration is in force", || context.read("cache.json").is_some());
    registered(context);
    child_id(context);
    assert_eq!(context.lines("child.signals"), 0, "the child was told");
    run.signal(Signal::TERM);
    assert_eq!(run.wait(IN_TIME), 9);
}
