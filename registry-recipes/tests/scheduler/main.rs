//! The scheduler on real registries.

mod driving;
mod old;
mod outages;
mod stopping;
#[path = "../support/mod.rs"]
mod support;
mod twins;
mod world;

use std::process::ExitCode;

use libtest_mimic::Arguments;
use support::{EVERYWHERE, Kind, everywhere, trial};

/// Trials wait most of the time, so there are more of them at once than processors.
const THREADS: usize = 6;

fn main() -> ExitCode {
    let mut trials = everywhere! {
        everywhere driving {
            three_nodes_are_clustered_with_one_master,
            a_heartbeat_waits_for_no_rebalance,
            a_step_that_fails_is_tried_again,
            a_node_that_is_started_anew_joins_again,
            an_unreadable_state_keeps_nobody_back,
            what_a_replaced_leader_says_late_is_passed_over,
        }
        events driving {
            who_was_a_member_is_recovered,
        }
        everywhere outages {
            a_leader_that_dies_resets_nobody,
            a_short_outage_changes_nothing,
            an_outage_longer_than_every_time_to_live_resets_nobody,
            a_leader_that_is_cut_off_is_replaced,
        }
        everywhere stopping {
            fails_over_first_and_then_leaves,
            ends_in_time_although_the_failover_does_not,
            an_evicted_node_hears_of_it,
        }
        everywhere twins {
            a_session_that_is_announced_is_refused,
            an_earlier_node_with_the_same_address_hears_of_the_later_one,
            an_earlier_node_that_stops_leaves_the_later_one_in_peace,
            a_node_that_is_never_told_anything_hears_why,
        }
        everywhere old {
            its_nodes_are_driven,
            its_scheduler_is_waited_for,
        }
    };
    // A Consul that comes back gives every session its whole time again.
    for kind in EVERYWHERE.into_iter().filter(|kind| kind.suits("brief") && *kind != Kind::Sqlite) {
        let name = "outages::a_server_that_was_away_for_long_resets_nobody";
        trials.push(trial(kind, name, outages::a_server_that_was_away_for_long_resets_nobody));
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    libtest_mimic::run(&arguments, trials).exit_code()
}
