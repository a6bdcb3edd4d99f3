//! The program on Consul's catalog, and in the environment of Consul's own tools.

mod catalog;
mod environment;
mod server;

use std::process::ExitCode;

use cluster_control_tests::Suite;

fn main() -> ExitCode {
    Suite::new()
        .alone("members_are_services", catalog::members_are_services)
        .alone("services_of_others_are_members", catalog::services_of_others)
        .alone("an_evicted_service_ends_with_3", catalog::evicted)
        .alone("a_lock_needs_keys", catalog::a_lock_needs_keys)
        .alone("the_variables_of_consul_are_understood", environment::variables)
        .alone("without_a_token_it_says_so", environment::without_a_token)
        .alone("a_token_that_sees_a_part_is_told_what_it_lacks", environment::with_a_token_that_sees_a_part)
        .alone("tls_that_a_variable_asks_for_is_used", environment::tls)
        .alone("a_token_is_not_sent_without_the_tls_that_was_asked_for", environment::not_in_the_clear)
        .run()
}
