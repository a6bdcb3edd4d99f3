//! What the library may keep in use, however often things go badly: tasks, sockets, files.

mod churn;
mod clients;
mod consumer;
mod flapping;
mod reconnects;
mod writer;

use std::process::ExitCode;

use cluster_control_tests::{Backend, Suite};

fn main() -> ExitCode {
    if let Some(code) = consumer::role() {
        return code;
    }
    // A store after the other takes minutes.
    let flapping = if std::env::var_os("SOAK").is_some() { &Backend::SERVERS[..] } else { &[Backend::EtcdV3] };
    Suite::new()
        // Files are counted for the whole process, and so they are for whatever else it does.
        .one_at_a_time()
        .on_own(&Backend::SERVERS, "reconnects_leave_nothing_behind", reconnects::to_a_server)
        .on(&[Backend::Sqlite], "reopening_leaves_nothing_behind", reconnects::of_a_file)
        .on_own(&[Backend::EtcdV3, Backend::Sqlite], "slow_consumers", churn::slow_consumers)
        .on_own(flapping, "agents_of_a_flapping_server", flapping::agents_of_a_flapping_server)
        .run()
}
