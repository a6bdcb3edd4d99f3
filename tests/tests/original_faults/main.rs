//! The twelve faults of the original scripts, each observed on real servers, and none to be repeated. Its users changed
//! nothing but the program, so everything here runs from the original's configuration file.

mod changes;
mod commands;
mod members;
mod outages;
mod ownership;
mod reloads;
mod writing;

use std::process::ExitCode;

use cluster_control_tests::{Backend, Suite};

fn main() -> ExitCode {
    let (all, servers, v2) = (&Backend::WITH_CONSUL, &Backend::SERVERS, &[Backend::EtcdV2]);
    // Where what nobody keeps is gone after a few seconds.
    let quick = &Backend::ALL;
    Suite::new()
        .on_own(servers, "fault_01_unreachable_is_not_empty", outages::unreachable_is_not_empty)
        .on_own(servers, "fault_02_a_restart_stops_nobody", outages::a_restart_stops_nobody)
        .on_own(servers, "fault_03_an_outage_longer_than_the_ttl", outages::longer_than_the_ttl)
        .on_own(servers, "fault_03_a_registry_that_lost_everything", outages::everything_lost)
        .on(quick, "fault_03_a_heartbeat_that_was_suspended", ownership::suspended)
        .on(quick, "fault_04_expiry_ends_watchkey", ownership::expiry_ends_watchkey)
        .on_own(&Backend::ETCD, "fault_04_expiry_before_an_outage", outages::expired_before_an_outage)
        .on(all, "fault_04_removal_ends_both_at_once", ownership::removal_ends_both_at_once)
        .on(v2, "fault_04_conditional_removal_ends_both_at_once", ownership::conditional_removal)
        .on(all, "fault_05_one_reload_for_each_change", changes::one_reload_for_each)
        .on(all, "fault_06_heartbeats_are_no_changes", changes::heartbeats_are_none)
        .on(all, "fault_07_nothing_is_missed_before_the_watch", changes::none_missed_before_the_watch)
        .on(all, "fault_08_verbose_goes_to_stderr", commands::verbose_goes_to_stderr)
        .on(v2, "fault_09_a_redirect_is_not_empty", commands::a_redirect_is_not_empty)
        .on(v2, "fault_09_a_strange_answer_is_not_empty", commands::a_strange_answer_is_not_empty)
        .on(all, "fault_10_an_unknown_cluster", commands::unknown_cluster)
        .on(all, "fault_10_a_directory_is_no_member", members::a_directory_is_none)
        .on(&[Backend::EtcdV2, Backend::Sqlite], "fault_11_files_are_replaced_whole", writing::replaced_whole)
        .on(all, "fault_11_a_missing_directory", writing::missing_directory)
        .on(v2, "fault_11_a_full_disk", writing::full_disk)
        .on(all, "fault_11_a_failed_reload_is_tried_again", reloads::a_failed_one_is_tried_again)
        .on(all, "fault_11_a_reload_that_hangs", reloads::one_that_hangs)
        .on(all, "fault_12_removekey_spares_a_successor", ownership::removekey_spares_a_successor)
        .on(all, "fault_12_removekey_after_an_eviction", ownership::removekey_after_an_eviction)
        .on(all, "fault_12_removekey_ends_a_heartbeat", ownership::removekey_ends_a_heartbeat)
        .on_own(servers, "fault_12_a_lost_beat_is_not_fatal", outages::a_lost_beat_is_not_fatal)
        .run()
}
