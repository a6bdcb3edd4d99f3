//! Asked to end while something is wrong with the registry: it ends in time, takes its entry along if it can, and its exit
//! code tells whether it could.

use std::time::Duration;

use cluster_control_tests::{Context, Process, SOON, Signal, eventually, never};

use crate::program::{KEY, configure, run};

/// Before those who stop containers lose patience and kill.
const IN_TIME: Duration = Duration::from_secs(10);
const TTL: u64 = 30;

fn register(context: &Context) -> Process {
    context
        .program(["register", "--key", KEY, "--ttl", &format!("{TTL}s"), "--output", "text"])
        .env("CLUSTER_CONTROL_REGISTRY", context.url())
        .start()
}

fn registered(context: &Context) {
    eventually(SOON, "it is registered", || context.witness.get(KEY).is_some());
}

/// Nobody knows what becomes of the entry, and that is what the code says.
pub(crate) fn while_the_server_is_frozen(context: &Context) {
    let mut process = register(context);
    registered(context);
    eventually(SOON, "it has heard of it", || !process.stdout().is_empty());
    context.server().pause();
    process.signal(Signal::TERM);
    assert_eq!(process.wait(IN_TIME), 69, "{}", process.stderr());
    assert!(process.stderr().contains(KEY), "{}", process.stderr());
    context.server().unpause();
}

/// What is on its way when the signal comes may arrive afterwards: then it is given back.
pub(crate) fn while_it_is_being_registered(context: &Context) {
    // One round proves little: the signal is to meet every step of the registration.
    for wait in [0, 5, 10, 15, 20, 30, 40, 60, 80, 120] {
        let mut process = register(context);
        std::thread::sleep(Duration::from_millis(wait));
        process.signal(Signal::TERM);
        let code = process.wait(IN_TIME);
        // Before it listens to signals it ends by them, and has not asked for anything yet.
        assert!(code == 0 || code == 143, "after {wait} ms: {code}: {}", process.stderr());
        assert_eq!(context.witness.get(KEY), None, "after {wait} ms the entry was left behind");
    }
}

/// The request lies in the hands of a server that answers only after the signal has come: then the entry is given back. On a
/// machine so slow that its patience is over by then, the program says that the entry may stand; not every time.
pub(crate) fn while_a_frozen_server_has_the_request(context: &Context) {
    for _ in 0..3 {
        context.witness.remove(KEY);
        match thawed_after_the_signal(context) {
            0 => {
                return never(Duration::from_secs(2), "the entry was left behind", || {
                    context.witness.get(KEY).is_some()
                });
            }
            code => assert_eq!(code, 69),
        }
    }
    panic!("the server is never heard");
}

fn thawed_after_the_signal(context: &Context) -> i32 {
    context.server().pause();
    let mut process = register(context);
    let asked = format!("{}", context.server().port());
    eventually(SOON, "the server is asked", || connections(&process, &asked) > 0);
    never(Duration::from_millis(300), "it ends by itself", || !process.is_running());
    process.signal(Signal::TERM);
    never(Duration::from_millis(300), "it does not wait for its request", || !process.is_running());
    context.server().unpause();
    process.wait(IN_TIME)
}

/// There is nothing to give back, and nobody to wait for.
pub(crate) fn while_nobody_listens(context: &Context) {
    context.server().stop();
    let mut process = register(context);
    eventually(SOON, "it says so", || process.stderr().contains("not registered"));
    process.signal(Signal::TERM);
    assert_eq!(process.wait(IN_TIME), 0, "{}", process.stderr());
    context.server().start_again();
    never(Duration::from_secs(1), "there is an entry", || context.witness.get(KEY).is_some());
}

/// The server is away when the signal comes, and its data will say that the entry lives.
pub(crate) fn while_the_server_starts_again(context: &Context) {
    let mut process = register(context);
    registered(context);
    eventually(SOON, "it has heard of it", || !process.stdout().is_empty());
    context.server().kill();
    process.signal(Signal::TERM);
    let code = process.wait(IN_TIME);
    context.server().start_again();
    let is_left = context.witness.get(KEY).is_some();
    assert_eq!(code, if is_left { 69 } else { 0 }, "{}", process.stderr());
}

/// The child's status is the program's, whatever the registry does.
pub(crate) fn run_stops_its_child_in_any_case(context: &Context) {
    configure(context, &context.url(), TTL);
    for harm in ["frozen", "away"] {
        for file in ["child.signals", "child.pids"] {
            let _ = std::fs::remove_file(context.path(file));
        }
        let mut process = run(context).start();
        registered(context);
        eventually(SOON, "the child listens", || context.lines("child.pids") == 1);
        if harm == "frozen" {
            context.server().pause();
        } else {
            context.server().kill();
        }
        process.signal(Signal::TERM);
        assert_eq!(process.wait(IN_TIME), 9, "{harm}: {}", process.stderr());
        assert_eq!(context.read("child.signals").as_deref(), Some("TERM\n"), "{harm}");
        assert!(process.stderr().contains("time to live"), "{harm}: {}", process.stderr());
        if harm == "frozen" {
            context.server().unpause();
        } else {
            context.server().start_again();
        }
        context.witness.remove(KEY);
    }
}

/// How many connections a process has to a port of loopback.
fn connections(process: &Process, port: &str) -> usize {
    let table = std::fs::read_to_string(format!("/proc/{}/net/tcp", process.id())).unwrap_or_default();
    let port = format!("0100007F:{:04X}", port.parse::<u16>().expect("a port"));
    let mine: Vec<_> = std::fs::read_dir(format!("/proc/{}/fd", process.id()))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let open = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    // The remote address, established, and the number of the socket.
    open.filter(|fields| {
        fields.len() > 9 && fields[2] == port && fields[3] == "01" && mine.iter().any(|inode| inode == fields[9])
    })
    .count()
}
