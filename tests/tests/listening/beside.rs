//! Beside the child: a request to end, the child's end and an eviction are heard wherever `run` waits.

use std::thread::{panicking, sleep};
use std::time::{Duration, Instant};

use cluster_control_tests::{Context, Process, SOON, Signal, eventually, never};

use crate::setting::{
    IN_TIME, Lease, child_id, configure, configure_child, forget, json_file, nothing_is_left, own, registered, script,
    signal, start, template, watch,
};

/// What ends `run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Term,
    ChildsEnd,
    Eviction,
}

const ALL: &[Event] = &[Event::Term, Event::ChildsEnd, Event::Eviction];
/// Where the registry is not there to tell of an eviction, or there is no entry.
const WITHOUT_EVICTION: &[Event] = &[Event::Term, Event::ChildsEnd];
/// More than what waits for the registry each time could have waited for in time, one after the other.
const HUPS: usize = 6;

/// Starts `run` with these sections beside the entry, brings it to the point at which it waits, lets the event happen, and
/// wants that `run` ends at once. `arrive` gets the number of the round, and returns what keeps it there.
fn at<K>(context: &Context, events: &[Event], sections: &[String], arrive: impl Fn(&mut Process, usize) -> K) {
    for (round, event) in events.iter().enumerate() {
        configure(context, &context.url(), &[&[own(&context.key())], sections].concat());
        let mut run = start(context);
        let child = child_id(context);
        if events.contains(&Event::Eviction) {
            registered(context);
        }
        let keeps = arrive(&mut run, round);
        never(Duration::from_millis(300), "it ends by itself", || !run.is_running());
        let code = match event {
            Event::Term => {
                run.signal(Signal::TERM);
                9
            }
            Event::ChildsEnd => {
                signal(child, Signal::USR1);
                5
            }
            Event::Eviction => {
                assert!(context.witness.remove(&context.key()));
                3
            }
        };
        let begun = Instant::now();
        assert_eq!(run.wait(IN_TIME), code, "{event:?}: {}", run.stderr());
        println!("{:?}: {event:?}: {:?}", context.backend, begun.elapsed());
        nothing_is_left(context);
        drop(keeps);
        forget(context, &["asked", "hang", "ready"]);
    }
}

/// A server that does not answer while this is there. What was registered meanwhile, or could not be deregistered, is removed
/// afterwards.
struct Harmed<'a> {
    context: &'a Context,
    frozen: bool,
}

impl<'a> Harmed<'a> {
    fn frozen(context: &'a Context) -> Self {
        context.server().pause();
        Self { context, frozen: true }
    }

    fn away(context: &'a Context) -> Self {
        context.server().kill();
        Self { context, frozen: false }
    }
}

impl Drop for Harmed<'_> {
    fn drop(&mut self) {
        if panicking() {
            return;
        }
        if self.frozen {
            self.context.server().unpause();
        } else {
            self.context.server().start_again();
        }
        for key in [self.context.key(), self.context.at("web/moved")] {
            self.context.witness.remove(&key);
        }
    }
}

/// Several that do not become one because they come at the same time.
fn hups(run: &mut Process) {
    for _ in 0..HUPS {
        run.signal(Signal::HUP);
        sleep(Duration::from_millis(100));
    }
}

/// A script that notes that it runs, and then hangs.
const HANG: &str = "echo >> asked; exec sleep 1000";

fn hangs_if_told() -> String {
    format!("if [ -e hang ]; then {HANG}; fi")
}

/// What is watched already is not listed again.
fn watch_more(context: &Context) {
    let more = watch("cache", &context.at("cache"));
    configure(context, &context.url(), &[own(&context.key()), db(context), json_file("db", ""), more]);
}

fn db(context: &Context) -> String {
    watch("db", &context.at("db"))
}

/// One more member, so that there is something to write.
fn change(context: &Context, round: usize) {
    context.witness.put(&context.at(&format!("db/10.0.0.{round}:3306")), "0");
}

fn is_asked(context: &Context) {
    eventually(SOON, "it arrives there", || context.lines("asked") > 0);
}

pub(crate) fn reading_the_configuration_again(context: &Context) {
    at(context, ALL, &[], |run, _| {
        let lease = Lease::take(context, "cluster-control.toml");
        hups(run);
        lease.is_asked();
        lease
    });
}

pub(crate) fn reading_a_template_again(context: &Context) {
    context.write("page.j2", "{{ members }}");
    at(context, ALL, &[db(context), template("db")], |run, _| {
        let lease = Lease::take(context, "page.j2");
        hups(run);
        lease.is_asked();
        lease
    });
}

pub(crate) fn listing_again_from_a_frozen_server(context: &Context) {
    at(context, WITHOUT_EVICTION, &[db(context), json_file("db", "")], |run, _| {
        let server = Harmed::frozen(context);
        watch_more(context);
        hups(run);
        server
    });
}

pub(crate) fn listing_again_without_a_server(context: &Context) {
    at(context, WITHOUT_EVICTION, &[db(context), json_file("db", "")], |run, _| {
        let server = Harmed::away(context);
        watch_more(context);
        hups(run);
        server
    });
}

pub(crate) fn checking_a_file(context: &Context) {
    let check = format!("{}check_timeout = \"1h\"", script("check", &hangs_if_told()));
    at(context, ALL, &[db(context), json_file("db", &check)], |_, round| {
        context.write("hang", "");
        change(context, round);
        is_asked(context);
    });
}

/// A new configuration takes over while the check of the former one hangs, which is stopped.
pub(crate) fn checking_a_file_for_the_last_time(context: &Context) {
    let check = format!("{}check_timeout = \"1h\"", script("check", &hangs_if_told()));
    at(context, ALL, &[db(context), json_file("db", &check)], |run, round| {
        context.write("hang", "");
        change(context, round);
        is_asked(context);
        hups(run);
    });
}

pub(crate) fn notifying(context: &Context) {
    let notify = format!("[[notify]]\nname = \"n\"\nkind = \"exec\"\ntimeout = \"1h\"\n{}", script("argv", HANG));
    at(context, ALL, &[db(context), notify, json_file("db", "notify = [\"n\"]")], |_, round| {
        change(context, round);
        is_asked(context);
    });
}

pub(crate) fn asking_for_health(context: &Context) {
    let exec = script("exec", &hangs_if_told());
    at(context, ALL, &[format!("[health]\ninterval = \"100ms\"\ntimeout = \"1h\"\n{exec}")], |_, _| {
        context.write("hang", "");
        is_asked(context);
    });
}

pub(crate) fn waiting_for_readiness(context: &Context) {
    let exec = script("exec", HANG);
    at(context, WITHOUT_EVICTION, &[format!("[ready]\ntimeout = \"1h\"\n{exec}")], |_, _| is_asked(context));
}

/// The child becomes ready while the server is frozen.
fn ready() -> String {
    "[ready]\nexec = [\"test\", \"-e\", \"ready\"]\ninterval = \"50ms\"\n".into()
}

pub(crate) fn registering(context: &Context) {
    at(context, WITHOUT_EVICTION, &[ready()], |_, _| {
        let server = Harmed::frozen(context);
        context.write("ready", "");
        sleep(Duration::from_millis(500));
        server
    });
}

/// The entry moves to another key, and the server does not answer.
pub(crate) fn deregistering(context: &Context) {
    at(context, WITHOUT_EVICTION, &[], |run, _| {
        registered(context);
        let server = Harmed::frozen(context);
        configure(context, &context.url(), &[own(&context.at("web/moved"))]);
        run.signal(Signal::HUP);
        eventually(SOON, "it is read", || run.stderr().contains("read again"));
        server
    });
}

/// The child is deaf, the server frozen, HUP came before: with the times that are the default, it is over before those who stop
/// containers kill.
pub(crate) fn a_deaf_child_and_a_frozen_server(context: &Context) {
    let sections = [own(&context.key()), db(context), json_file("db", "")];
    configure_child(context, &context.url(), "", &sections);
    let script = "trap '' TERM; echo $$ >> child.pids; while :; do sleep 1; done";
    let mut run = context.program(["run", "--", "bash", "-c", script]).start();
    child_id(context);
    registered(context);
    let server = Harmed::frozen(context);
    let more = watch("cache", &context.at("cache"));
    configure_child(context, &context.url(), "", &[&sections[..], &[more]].concat());
    hups(&mut run);
    run.signal(Signal::TERM);
    // 1 s for the registry, 2 s for the drain, 5 s for the child; and some for a machine that is busy.
    assert_eq!(run.wait(IN_TIME + Duration::from_secs(2)), 137, "{}", run.stderr());
    nothing_is_left(context);
    drop(server);
}

/// Nothing but the stop matters then: a new configuration does not delay it, and is not read.
pub(crate) fn hup_while_stopping_is_ignored(context: &Context) {
    let sections = [own(&context.key())];
    configure_child(context, &context.url(), "drain = \"2s\"", &sections);
    let mut run = start(context);
    child_id(context);
    registered(context);
    run.signal(Signal::TERM);
    eventually(SOON, "it stops", || context.witness.get(&context.key()).is_none());
    configure(context, &context.url(), &[own(&context.at("web/moved"))]);
    hups(&mut run);
    assert_eq!(run.wait(IN_TIME), 9, "{}", run.stderr());
    assert_eq!(context.witness.get(&context.at("web/moved")), None);
    let said = run.stderr();
    assert!(!said.contains("read again") && !said.contains("stays as it was"), "{said}");
}

/// There is nobody left who could be drained, or waited for.
pub(crate) fn the_childs_end_ends_the_drain(context: &Context) {
    configure_child(context, &context.url(), "drain = \"10m\"", &[own(&context.key())]);
    let mut run = start(context);
    let child = child_id(context);
    registered(context);
    run.signal(Signal::TERM);
    eventually(SOON, "it stops", || context.witness.get(&context.key()).is_none());
    never(Duration::from_millis(500), "it does not drain", || !run.is_running());
    signal(child, Signal::USR1);
    assert_eq!(run.wait(IN_TIME), 5, "{}", run.stderr());
}
