//! Servers in processes of their own die, freeze and come back behind one channel.

mod callers;
mod dying;
mod server;
mod silent;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn trial<F: Future<Output = ()> + 'static>(name: &str, test: fn() -> F) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(test());
        Ok(())
    })
}

/// The trials, by the names of their functions.
macro_rules! trials {
    ($($module:ident::$test:ident),* $(,)?) => { vec![$(trial(stringify!($test), $module::$test)),*] };
}

fn main() -> ExitCode {
    server::serve_if_asked();
    let trials = trials![
        dying::a_deregistered_server_finishes_what_it_has_and_gets_nothing_new,
        dying::a_killed_server_fails_at_most_the_requests_in_flight,
        dying::a_server_that_listens_late_and_has_a_name_is_used_when_it_does,
        dying::all_servers_down_is_an_error_that_names_them_and_ends_when_one_is_back,
        dying::nobody_is_registered_and_then_somebody_is,
        dying::servers_that_refuse_connections_get_nothing,
        dying::three_of_four_dead_servers_get_nothing,
        silent::a_frozen_server_gets_nothing_after_two_seconds_and_is_used_again_after_the_thaw,
        silent::a_request_without_a_limit_does_not_wait_for_a_frozen_server_indefinitely,
        silent::a_server_that_has_never_said_anything_gets_nothing,
        silent::a_slow_answer_is_waited_for_and_others_are_answered_meanwhile,
        silent::only_silent_servers_is_an_error_that_names_them,
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
