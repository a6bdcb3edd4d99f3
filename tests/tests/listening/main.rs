//! `run` hears at every moment: requests to end, the child's end, an eviction, and what it is told by HUP; and within the time
//! after which those who stop containers kill. Each test brings it to one point at which it waits for something that does not
//! come, and lets each event happen there.

mod before;
mod beside;
mod others;
mod setting;
mod size;
mod storms;

use std::process::ExitCode;

use cluster_control_tests::{Backend, Suite};
use setting::Lease;

const ALL: &[Backend] = &Backend::WITH_CONSUL;
const SERVERS: &[Backend] = &Backend::SERVERS;
/// Where the registry makes no difference.
const ANY: &[Backend] = &[Backend::Sqlite];

fn main() -> ExitCode {
    Suite::new()
        .alone_where(Lease::probe, "before::reading_the_configuration", before::reading_the_configuration)
        .alone_where(Lease::probe, "before::reading_a_template", before::reading_a_template)
        .alone("before::connecting", before::connecting)
        .alone("before::listing", before::listing)
        .on(ANY, "before::checking_a_file", before::checking_a_file)
        .on(ANY, "before::hup_is_remembered", before::hup_is_remembered)
        .on_own_where(
            Lease::probe,
            ANY,
            "beside::reading_the_configuration_again",
            beside::reading_the_configuration_again,
        )
        .on_own_where(Lease::probe, ANY, "beside::reading_a_template_again", beside::reading_a_template_again)
        .on_own(SERVERS, "beside::listing_again_from_a_frozen_server", beside::listing_again_from_a_frozen_server)
        .on_own(SERVERS, "beside::listing_again_without_a_server", beside::listing_again_without_a_server)
        .on(ALL, "beside::checking_a_file", beside::checking_a_file)
        .on(ANY, "beside::checking_a_file_for_the_last_time", beside::checking_a_file_for_the_last_time)
        .on(ALL, "beside::notifying", beside::notifying)
        .on(ALL, "beside::asking_for_health", beside::asking_for_health)
        .on(ANY, "beside::waiting_for_readiness", beside::waiting_for_readiness)
        .on_own(SERVERS, "beside::registering", beside::registering)
        .on_own(SERVERS, "beside::deregistering", beside::deregistering)
        .on_own(SERVERS, "beside::a_deaf_child_and_a_frozen_server", beside::a_deaf_child_and_a_frozen_server)
        .on(ANY, "beside::hup_while_stopping_is_ignored", beside::hup_while_stopping_is_ignored)
        .on(ANY, "beside::the_childs_end_ends_the_drain", beside::the_childs_end_ends_the_drain)
        .on_own_where(Lease::probe, ANY, "others::clusterwatch_reads_a_template", others::clusterwatch_reads_a_template)
        .alone_where(
            Lease::probe,
            "others::partition_reads_the_configuration",
            others::partition_reads_the_configuration,
        )
        .on(ANY, "others::watch_is_not_read", others::watch_is_not_read)
        .on_own_where(Lease::probe, ANY, "storms::become_two", storms::become_two)
        .on(ANY, "storms::end_with_the_newest", storms::end_with_the_newest)
        .on_own(SERVERS, "storms::without_a_server", storms::without_a_server)
        .on(ANY, "storms::do_not_make_a_child_ready", storms::do_not_make_a_child_ready)
        .on(ANY, "size::a_file_that_becomes_too_large", size::a_file_that_becomes_too_large)
        .on(ANY, "size::a_first_file_that_is_too_large", size::a_first_file_that_is_too_large)
        .alone("size::a_result_that_is_too_large", size::a_result_that_is_too_large)
        .run()
}
