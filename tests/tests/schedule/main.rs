//! `schedule`, as it is run beside the server that it drives.

mod bad_input;
mod frozen;
mod outage;
mod setting;
mod stopping;
mod twins;

use std::process::ExitCode;

use cluster_control_tests::{Backend, Suite};

const ALL: &[Backend] = &Backend::ALL;
const ETCD: &[Backend] = &Backend::ETCD;
/// Where the registry makes no difference.
const ANY: &[Backend] = &[Backend::Sqlite];

fn main() -> ExitCode {
    Suite::new()
        .on(ALL, "a_frozen_leader_is_replaced_and_writes_no_more", frozen::is_replaced_and_writes_no_more)
        .on(ALL, "a_killed_leader_resets_nobody", frozen::a_killed_leader_resets_nobody)
        .on_own(ETCD, "a_short_outage_changes_nothing", outage::a_short_one_changes_nothing)
        .on_own(ETCD, "a_long_outage_resets_nobody", outage::a_long_one_resets_nobody)
        .on(ALL, "stop_fails_over_first", stopping::fails_over_first)
        .on(ANY, "stop_ends_in_time", stopping::ends_in_time)
        .on(ALL, "evicted_ends_with_3", stopping::evicted_ends_with_3)
        .on(ANY, "a_command_that_fails_is_tried_again", stopping::a_command_that_fails_is_tried_again)
        .on(ALL, "a_session_that_is_announced_is_refused", twins::a_session_that_is_announced_is_refused)
        .on(ANY, "two_nodes_with_one_address_are_told_apart", twins::the_earlier_says_why_it_is_idle)
        .on(ANY, "what_is_wrong_is_said_before_anything_is_done", bad_input::is_said_before_anything_is_done)
        .on(ANY, "a_read_only_registry_is_refused", bad_input::a_read_only_registry_is_refused)
        .on(ANY, "a_password_is_never_shown", bad_input::a_password_is_never_shown)
        .run()
}
