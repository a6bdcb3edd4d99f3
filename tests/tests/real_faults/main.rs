//! Faults as they happen to real servers and to the machine, one by one: what is promised holds through each.

mod clock;
mod descriptors;
mod history;
mod idle;
mod member;
mod namespace;
mod packets;
mod program;
mod quota;
mod setting;
mod stopping;
mod thaw;

use std::process::ExitCode;

use cluster_control_tests::{Backend, Suite};

use member::{Harm, Who};
use setting::Api;
use test_servers::Version;

/// The same trial on both protocols of etcd.
macro_rules! both {
    ($suite:expr, $name:literal, $trial:path $(, $argument:expr)*) => {
        $suite
            .alone(concat!($name, "::v2"), |_| $trial(Api::V2 $(, $argument)*))
            .alone(concat!($name, "::v3"), |_| $trial(Api::V3 $(, $argument)*))
    };
}

fn main() -> ExitCode {
    machine(members(Suite::new())).run()
}

fn members(suite: Suite) -> Suite {
    let suite = both!(suite, "a_killed_leader", member::harmed, Who::Leader, Harm::Killed);
    let suite = both!(suite, "a_frozen_leader", member::harmed, Who::Leader, Harm::Frozen);
    let suite = both!(suite, "a_leader_without_its_members", member::harmed, Who::Leader, Harm::CutOff);
    let suite = both!(suite, "a_leader_behind_a_dead_wire", member::harmed, Who::Leader, Harm::Unreachable);
    let suite = both!(suite, "a_follower_without_its_members", member::harmed, Who::Follower, Harm::CutOff);
    let suite = suite
        .alone("holders_after_a_thaw::3.4", |_| thaw::holders_after_a_thaw(Version::V3_4))
        .alone("holders_after_a_thaw::3.5", |_| thaw::holders_after_a_thaw(Version::V3_5))
        .alone("commands_after_a_thaw::3.5", |sandbox| thaw::commands_after_a_thaw(sandbox, Version::V3_5));
    let suite = both!(suite, "without_a_majority", member::without_a_majority);
    let suite = both!(suite, "a_member_that_lags_is_not_believed", member::a_member_that_lags_is_not_believed);
    let suite = both!(suite, "a_removal_while_away_leaves_no_ghost", history::a_removal_while_away_leaves_no_ghost);
    suite
        .alone("an_old_backup::v2", |sandbox| history::an_old_backup_is_another_history(sandbox, Api::V2, false))
        .alone("an_old_backup::v3", |sandbox| history::an_old_backup_is_another_history(sandbox, Api::V3, false))
        .alone("an_old_backup_as_another_cluster::v3", |sandbox| {
            history::an_old_backup_is_another_history(sandbox, Api::V3, true);
        })
}

fn machine(suite: Suite) -> Suite {
    let cut = namespace::is_possible;
    suite
        .alone("a_full_database_keeps_what_stands", quota::a_full_database_keeps_what_stands)
        .alone_where(cut, "packets_dropped_both_ways::v2", |sandbox| packets::dropped(sandbox, Api::V2, true))
        .alone_where(cut, "packets_dropped_both_ways::v3", |sandbox| packets::dropped(sandbox, Api::V3, true))
        .alone_where(cut, "answers_dropped::v2", |sandbox| packets::dropped(sandbox, Api::V2, false))
        .alone_where(cut, "answers_dropped::v3", |sandbox| packets::dropped(sandbox, Api::V3, false))
        .alone_where(cut, "connections_reset::v2", |sandbox| packets::reset(sandbox, Api::V2))
        .alone_where(cut, "connections_reset::v3", |sandbox| packets::reset(sandbox, Api::V3))
        .on_own_where(clock::is_possible, &Backend::ALL, "a_turned_clock", clock::a_turned_clock_changes_nothing)
        .on_own(&[Backend::Sqlite, Backend::EtcdV3], "too_few_files", descriptors::too_few_files_are_an_error_or_enough)
        .on_own(&Backend::SERVERS, "waiting_for_a_server_costs_next_to_nothing", idle::while_the_server_is_away)
        .on_own(&Backend::ETCD, "stopping_while_frozen", stopping::while_the_server_is_frozen)
        .on_own(&Backend::ALL, "stopping_while_registering", stopping::while_it_is_being_registered)
        .on_own(&Backend::ETCD, "stopping_with_a_request_in_flight", stopping::while_a_frozen_server_has_the_request)
        .on_own(&Backend::ETCD, "stopping_while_nobody_listens", stopping::while_nobody_listens)
        .on_own(&Backend::ETCD, "stopping_while_the_server_restarts", stopping::while_the_server_starts_again)
        .on_own(&Backend::ETCD, "run_stops_its_child_in_any_case", stopping::run_stops_its_child_in_any_case)
}
