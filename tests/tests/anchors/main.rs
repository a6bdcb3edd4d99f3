//! What other tools got wrong, with their result, and what this one is held to. Each row was observed on those tools.

mod child;
mod hup;
mod mount;
mod nginx;
mod outage;
mod registration;
mod reloads;
mod setting;
mod stopping;

use std::process::ExitCode;

use cluster_control_tests::{Backend, Suite};

const ALL: &[Backend] = &Backend::WITH_CONSUL;
const SERVERS: &[Backend] = &Backend::SERVERS;
/// Where the registry makes no difference.
const ANY: &[Backend] = &[Backend::Sqlite];

fn main() -> ExitCode {
    Suite::new()
        .on(ALL, "heartbeats_reload_nothing", reloads::heartbeats_reload_nothing)
        .on(ALL, "a_burst_is_told_once", reloads::a_burst_is_told_once)
        .on(ANY, "a_failed_reload_is_retried", reloads::a_failed_reload_is_retried)
        .on(ANY, "a_hanging_reload_blocks_nobody", reloads::a_hanging_reload_blocks_nobody)
        .on(
            ANY,
            "a_hanging_reload_does_not_outlive_the_program",
            reloads::a_hanging_reload_does_not_outlive_the_program,
        )
        .on_own_where(nginx::is_there, ANY, "a_reload_that_nginx_refuses_is_repeated", nginx::refuses_a_reload)
        .on_own(SERVERS, "a_dead_registry_changes_nothing", outage::a_dead_registry_changes_nothing)
        .on_own(&Backend::ETCD, "an_expired_entry_comes_back", outage::an_expired_entry_comes_back)
        .on_own(SERVERS, "a_wiped_registry_is_filled_again", outage::a_wiped_registry_is_filled_again)
        .on_own(SERVERS, "without_a_registry_nothing_starts", outage::without_a_registry_nothing_starts)
        .on_own(SERVERS, "a_late_registry_is_waited_for", outage::a_late_registry_is_waited_for)
        .on(ANY, "hup_reads_the_configuration_again", hup::reads_the_configuration_again)
        .on(ANY, "hup_an_invalid_configuration_is_refused", hup::an_invalid_configuration_is_refused)
        .on(ALL, "hup_another_key_moves_the_entry", hup::another_key_moves_the_entry)
        .on(ANY, "a_mounted_file_is_written_in_place", mount::is_written_in_place)
        .on(ALL, "stop_deregisters_and_drains_before_term", stopping::deregisters_and_drains_before_term)
        .on(ALL, "evicted_ends_with_3", stopping::evicted_ends_with_3)
        .on(ANY, "a_second_term_skips_the_drain", stopping::a_second_term_skips_the_drain)
        .on(ANY, "quit_skips_the_drain", stopping::quit_skips_the_drain)
        .on(ANY, "a_third_term_kills", stopping::a_third_term_kills)
        .on(ANY, "who_ignores_term_is_killed", stopping::who_ignores_term_is_killed)
        .on(ANY, "the_childs_status_is_passed_on", child::its_status_is_passed_on)
        .on(ANY, "success_codes_become_0", child::success_codes_become_0)
        .on(ANY, "what_cannot_be_started_is_126_or_127", child::what_cannot_be_started_is_126_or_127)
        .on(ANY, "the_childs_output_is_its_own", child::its_output_is_its_own)
        .on(ANY, "orphans_are_ended", child::orphans_are_ended)
        .on(ALL, "stands_only_when_the_child_is_ready", registration::stands_only_when_the_child_is_ready)
        .on(ALL, "follows_the_childs_health", registration::follows_the_childs_health)
        .on(ANY, "an_unhealthy_child_can_be_stopped", registration::an_unhealthy_child_can_be_stopped)
        .run()
}
