//! The program as the first process of a container: an image from nothing, read-only, without a network, and not root.
//!
//! These tests need a Docker engine, and fail with the reason where there is none.

mod engine;
mod image;
mod membership;
mod process;
mod sealed;

use std::process::ExitCode;

use cluster_control_tests::{Backend, Suite};

fn main() -> ExitCode {
    Suite::new()
        .alone("stop_is_in_time_and_passes_the_status_on", process::stop_is_in_time_and_passes_the_status_on)
        .alone("a_deaf_child_is_killed_in_time", process::a_deaf_child_is_killed_in_time)
        .alone("the_childs_status_is_passed_on", process::its_status_is_passed_on)
        .alone("orphans_are_reaped", process::orphans_are_reaped)
        .alone("hup_reads_the_configuration_again", process::hup_reads_the_configuration_again)
        .alone("evicted_by_another_container", membership::evicted_by_another_container)
        .alone("containers_see_each_other", membership::containers_see_each_other)
        .on(&Backend::ETCD, "stop_deregisters", membership::stop_deregisters)
        .alone("nothing_is_writable", sealed::nothing_is_writable)
        .alone("a_mounted_file_is_written_in_place", sealed::a_mounted_file_is_written_in_place)
        .run()
}
