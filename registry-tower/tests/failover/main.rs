//! Servers in processes of their own die, freeze and come back behind one channel.

mod callers;
mod dying;
mod server;
mod silent;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn test<F: Future<Output = ()> + 'static>(name: &str, body: fn() -> F) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(body());
        Ok(())
    })
}

/// The tests, by the names of their functions.
macro_rules! tests {
    ($($module:ident::$name:ident),* $(,)?) => { vec![$(test(stringify!($name), $module::$name)),*] };
}

fn main() -> ExitCode {
    server::serve_if_asked();
    let tests = tests![
        dying::a_deregistered_server_finishes_its_requests_and_gets_no_new_ones,
        dying::a_killed_server_fails_at_most_the_requests_in_flight,
        dying::a_server_that_listens_late_and_has_a_name_is_used_when_it_does,
        dying::requests_fail_while_all_servers_are_down_and_succeed_when_one_is_back,
        dying::an_empty_registry_is_an_error_until_a_server_registers,
        dying::servers_that_refuse_connections_get_no_requests,
        dying::three_of_four_dead_servers_get_no_requests,
        silent::a_frozen_server_gets_no_requests_until_it_is_thawed,
        silent::a_request_without_a_time_limit_on_a_frozen_server_fails,
        silent::a_server_that_accepts_and_is_silent_gets_no_requests,
        silent::a_slow_answer_is_not_taken_for_silence,
        silent::only_silent_servers_is_an_error_that_names_them,
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}
