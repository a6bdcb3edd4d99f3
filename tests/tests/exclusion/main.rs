//! `lock` and `elect`: commands that run in one place at a time, whatever happens to those who run them.

mod elect;
mod lock;
mod losing;
mod worker;

use std::process::ExitCode;

use cluster_control_tests::{Backend, Suite};

fn main() -> ExitCode {
    let (all, servers) = (&Backend::WITH_CONSUL, &Backend::SERVERS);
    // Where what nobody keeps is gone after a few seconds.
    let quick = &Backend::ALL;
    let etcd = &Backend::ETCD;
    Suite::new()
        .on(all, "the_command_finds_its_token_and_ends_with_its_own_code", lock::token_and_code)
        .on(all, "one_after_the_other", lock::one_after_the_other)
        .on(all, "a_few_at_once", lock::a_few_at_once)
        .on(all, "waiting_has_an_end", lock::waiting_has_an_end)
        .on(all, "who_is_asked_to_end_while_waiting_leaves_the_line", lock::asked_while_waiting)
        .on(all, "who_is_asked_to_end_stops_the_command_first", lock::asked_while_held)
        .on(&[Backend::Sqlite], "who_is_hung_up_stops_the_command_first", lock::hung_up)
        .on(all, "what_the_command_leaves_behind_is_ended", lock::leftovers)
        .on(&[Backend::Sqlite], "bad_input", lock::bad_input)
        .on(quick, "a_killed_holder_is_followed", losing::killed)
        .on(quick, "a_frozen_holder_does_nothing_when_it_is_thawed", losing::frozen)
        .on(all, "a_removed_holder_stops", losing::removed)
        .on_own(servers, "a_holder_that_is_cut_off_stops_in_time", losing::cut_off)
        .on_own(etcd, "a_holder_that_is_cut_off_while_it_stops", losing::cut_off_while_stopping)
        .on_own(servers, "a_restarted_server_changes_nothing", losing::restarted)
        .on(all, "the_leader_runs_the_command_and_is_shown", elect::shown)
        .on(quick, "a_killed_leader_is_followed", elect::killed)
        .run()
}
