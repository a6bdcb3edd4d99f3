//! The partition on real registries: who has which part, at every step.

mod agreeing;
mod churn;
mod giving_up;
mod losing;
mod many;
mod members;
mod slots;
#[expect(dead_code, reason = "not every recipe needs to stop a server")]
#[path = "../support/mod.rs"]
mod support;
mod troubled;

use std::process::ExitCode;

use support::everywhere;

fn main() -> ExitCode {
    let mut arguments = libtest_mimic::Arguments::from_args();
    arguments.test_threads.get_or_insert(4);
    let trials = everywhere! {
        everywhere members {
            three_nodes, an_observer_has_no_part, a_name_is_taken_once, what_is_foreign_counts_as_nothing, who_leaves_is_gone,
            an_eviction_is_final,
        }
        everywhere many { ten_thousand_members }
        everywhere churn { fifty_members_come_and_go }
        everywhere losing { a_part_is_dropped_before_it_can_be_anothers, a_loss_is_never_skipped, a_frozen_process_has_no_part, a_part_comes_back_when_its_directory_says_so }
        everywhere giving_up {
            a_claim_that_is_given_up_leaves_nothing, a_join_that_is_given_up_leaves_nothing, a_claim_that_fails_leaves_nothing,
            who_cannot_give_way_claims_all_the_same, many_slots_are_given_back_at_the_same_time,
        }
        everywhere slots {
            who_leaves_moves_nobody, twenty_members_race, blocks_race, a_lost_slot_is_claimed_anew, a_slot_is_removed_by_hand,
            a_name_has_one_block,
        }
    };
    libtest_mimic::run(&arguments, trials).exit_code()
}
