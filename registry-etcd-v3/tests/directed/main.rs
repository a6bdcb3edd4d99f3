//! The traps that real etcd servers set, one test each: they are named after the rows of `backends.md` where they were
//! first seen.

mod access;
mod addresses;
mod endpoints;
mod leases;
mod proxy;
mod support;
mod tls;
mod watches;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// Lists the tests. One that is forgotten here does not compile, for nobody calls it.
macro_rules! tests {
    ($($module:ident { $($name:ident),+ $(,)? })+) => {
        vec![$($(Trial::test(concat!(stringify!($module), "::", stringify!($name)), || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on($module::$name());
            Ok(())
        })),+),+]
    };
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They mostly wait; more of them than cores may run at once.
    arguments.test_threads.get_or_insert(6);
    let tests = tests! {
        access {
            row_3_11_a_refused_watch_does_not_stay_silent,
            a_renewal_that_is_refused_harms_no_other,
            row_3_27_an_expired_token_is_renewed,
            row_3_27_a_token_outlives_a_change_of_the_users,
            credentials_for_a_server_that_asks_for_none_do_no_harm,
            a_password_is_read_from_its_file_and_never_shown,
            another_certificate_is_another_user,
            authentication_is_switched_on_and_off,
        }
        addresses {
            one_good_address_of_a_name_is_enough,
            when_no_address_answers_each_is_named,
            a_registration_follows_its_name_to_another_address,
            a_socket_of_this_machine_is_an_endpoint,
            an_address_with_a_zone_is_connected_to,
        }
        endpoints {
            finding_1_one_good_endpoint_of_three_is_enough,
            when_no_endpoint_answers_all_are_named,
            a_call_that_was_given_up_counts_against_its_endpoint,
            a_renewal_that_was_given_up_counts_against_its_endpoint,
            a_server_that_is_no_etcd_is_called_so,
            each_page_of_a_list_has_as_much_time_as_any_request,
            finding_2_a_hung_leader_costs_no_lease,
            finding_10_an_idle_connection_is_kept,
        }
        leases {
            row_3_1_the_granted_time_to_live_counts,
            row_3_2_a_lease_that_ran_out_while_the_server_hung_is_lost,
            row_3_6_a_revoked_lease_is_lost_and_a_deleted_key_is_an_eviction,
            row_3_7_an_entry_survives_a_crash_of_the_server,
            row_3_19_a_wiped_server_has_lost_every_lease,
            row_3_24_a_registration_whose_answer_was_lost_is_looked_up,
            row_3_24_a_registration_that_was_given_up_is_no_conflict,
            row_3_24_an_update_whose_answer_was_lost_happens_once,
            row_3_28_a_full_server_keeps_what_it_has,
            a_thousand_leases_share_a_stream_and_their_looks,
            renewals_of_one_lease_do_not_answer_for_each_other,
            a_stream_that_hangs_is_replaced,
        }
        tls {
            row_3_22_tls_tells_the_true_reason,
            row_3_22_an_expired_certificate_is_called_so,
            row_3_22_both_sides_show_a_certificate,
            a_file_that_is_wrong_is_named_at_once,
            a_renewed_authority_is_picked_up,
            a_certificate_that_names_something_else_is_accepted_by_that_name,
            a_damaged_certificate_in_a_bundle_harms_no_other,
        }
        watches {
            row_3_12_a_compaction_while_away_is_a_gap,
            finding_3_a_compaction_exactly_at_a_delete_leaves_no_ghost,
            findings_5_and_6_ten_thousand_members,
            finding_5_large_values,
            a_directory_of_70_mb_is_listed,
            a_directory_of_200_000_entries_is_refused_as_such,
            row_3_17_only_a_truthful_server_moves_the_bookmark,
            row_3_17_a_watch_of_an_idle_server_stays_alive,
            row_3_19_a_wiped_server_is_another_history,
            row_3_23_a_hung_server_is_noticed_by_its_watch,
            row_3_32_a_record_that_is_no_entry_is_skipped,
        }
    };
    libtest_mimic::run(&arguments, tests).exit_code()
}
