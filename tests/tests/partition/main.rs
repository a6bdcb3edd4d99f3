//! `partition` as its users run it: who has which part of the work, and that nobody works with another's.

mod bad_input;
mod command;
mod losing;
mod nodes;
mod setting;
mod slots;

use std::process::ExitCode;

use cluster_control_tests::{Backend, Suite};

const ALL: &[Backend] = &Backend::ALL;
const ETCD: &[Backend] = &Backend::ETCD;
const V2: &[Backend] = &[Backend::EtcdV2];
/// Where the registry makes no difference.
const ANY: &[Backend] = &[Backend::Sqlite];

fn main() -> ExitCode {
    Suite::new()
        .on(ALL, "three_nodes", nodes::three_nodes)
        .on(V2, "an_old_member_agrees", nodes::an_old_member_agrees)
        .on(ALL, "who_is_not_heard_leaves", nodes::who_is_not_heard_leaves)
        .on(ANY, "an_observer_sees_all", nodes::an_observer_sees_all)
        .on(ANY, "whom_nobody_reads_goes_on_and_ends", nodes::whom_nobody_reads_goes_on_and_ends)
        .alone("a_fixed_part_needs_no_registry", nodes::a_fixed_part_needs_no_registry)
        .on(ALL, "a_change_starts_the_command_anew", command::a_change_starts_it_anew)
        .on(ANY, "a_change_is_told_by_a_signal", command::a_change_is_told_by_a_signal)
        .on(ANY, "a_command_that_ends_takes_the_instance_with_it", command::its_end_is_the_end)
        .on(ANY, "a_command_that_does_not_listen_is_killed", command::who_does_not_listen_is_killed)
        .on(ANY, "a_command_that_is_not_there", command::it_is_not_there)
        .on(ALL, "an_evicted_instance_stops", losing::an_evicted_instance_stops)
        .on(ALL, "a_frozen_instance_stops_first", losing::a_frozen_instance_stops_first)
        .on_own(ETCD, "an_outage_stops_the_command", losing::an_outage_stops_the_command)
        .on(ALL, "who_leaves_moves_nobody", slots::who_leaves_moves_nobody)
        .on(ALL, "who_gives_up_leaves_nothing", slots::who_gives_up_leaves_nothing)
        .on(ANY, "bad_arguments", bad_input::arguments)
        .on(ALL, "a_name_is_taken_once", bad_input::a_name_is_taken_once)
        .on(ALL, "a_foreign_value", bad_input::a_foreign_value)
        .alone("no_registry_to_be_had", bad_input::no_registry)
        .run()
}
