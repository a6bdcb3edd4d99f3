//! The other commands that wait for long, where they wait for something else than the registry.

use std::fs::File;
use std::time::Duration;

use cluster_control_tests::{Context, SOON, Sandbox, Signal, eventually, never};
use rustix::io::ioctl_fionread;

use crate::setting::{IN_TIME, Lease, configure, nothing_is_left, template, watch};

pub(crate) fn clusterwatch_reads_a_template(context: &Context) {
    context.write("page.j2", "{{ members }}");
    configure(context, &context.url(), &[watch("db", &context.at("db")), template("db")]);
    let lease = Lease::take(context, "page.j2");
    let mut watching = context.program(["clusterwatch", "db", "1", "true"]).start();
    lease.is_asked();
    watching.signal(Signal::TERM);
    assert_eq!(watching.wait(IN_TIME), 0, "{}", watching.stderr());
    nothing_is_left(context);
}

pub(crate) fn partition_reads_the_configuration(sandbox: &Sandbox) {
    configure(sandbox, "etcd://127.0.0.1:1", &[]);
    let lease = Lease::take(sandbox, "cluster-control.toml");
    let mut partition = sandbox.program(["partition", "work", "--workers", "1"]).start();
    lease.is_asked();
    partition.signal(Signal::TERM);
    assert_eq!(partition.wait(IN_TIME), 0, "{}", partition.stderr());
    nothing_is_left(sandbox);
}

/// The pipe is full, and nobody empties it.
pub(crate) fn watch_is_not_read(context: &Context) {
    for number in 1..=4 {
        context.witness.put(&context.at(&format!("db/10.0.0.{number}:3306")), &"x".repeat(50_000));
    }
    let script = format!("mkfifo out; exec \"$CLUSTERCONTROL\" watch {} > out", context.at("db"));
    let mut watching = context.script(&script).start();
    eventually(SOON, "the pipe is there", || context.path("out").exists());
    let out = File::open(context.path("out")).expect("the pipe opens");
    eventually(SOON, "the pipe is full", || ioctl_fionread(&out).expect("a pipe") >= 64 * 1024);
    never(Duration::from_millis(300), "it ends by itself", || !watching.is_running());
    watching.signal(Signal::TERM);
    assert_eq!(watching.wait(IN_TIME), 0, "{}", watching.stderr());
}
