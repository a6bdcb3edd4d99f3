//! Every trial, and what a backend must be able to do for it.

use super::{Trial, announcing, contract, grace, leases, reading, runtimes, sharing, states, subscribing, watching};
use crate::options::{Capabilities, WatchKind};

/// What a backend must be able to do for a trial to make sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// Registering.
    Register,
    /// A name has one owner, and conditions are decided by the server.
    Ownership,
    /// Names that hold `/`.
    NestedNames,
    /// A watch, of events or of states: the trial gives each state the time to be seen.
    Watch,
    /// A watch of every change.
    Events,
    /// A watch of states, where the promise is another one than that of events.
    States,
    /// A watch that can start in the past.
    Resume,
    /// A watch that cannot: after an interruption a subscription begins anew.
    NoResume,
    /// A list that never changes.
    Static,
}

impl Needs {
    pub(super) fn are_met_by(self, able: &Capabilities) -> bool {
        match self {
            Self::Register => able.register,
            Self::Ownership => able.conditions,
            Self::NestedNames => able.nested_names,
            Self::Watch => able.watch != WatchKind::Static,
            Self::Events => able.watch == WatchKind::Events,
            Self::States => able.watch == WatchKind::States,
            Self::Resume => able.resume,
            Self::NoResume => !able.resume,
            Self::Static => able.watch == WatchKind::Static,
        }
    }
}

macro_rules! trials {
    ($($needs:tt $module:ident { $($name:ident),+ $(,)? })+) => {
        /// Every trial, in the order of the contract.
        pub fn trials() -> Vec<Trial> {
            vec![$($(Trial {
                name: stringify!($name),
                needs: needs!($needs),
                run: |bench| Box::pin(async move { $module::$name(&bench).await }),
            }),+),+]
        }
    };
}

macro_rules! needs {
    ([$($needs:ident)&*]) => { &[$(Needs::$needs),*] };
}

trials! {
    [] reading {
        an_unknown_directory_is_empty,
        an_unknown_entry_is_empty,
        the_backend_says_who_and_what_it_is,
        no_secret_is_shown,
    }
    [Static] reading {
        a_fixed_list_is_listed_in_order,
        a_fixed_watch_stays_silent,
        a_fixed_subscription_is_one_snapshot,
        a_fixed_list_refuses_to_register,
    }
    [Register] contract {
        a_list_is_sorted_and_complete,
        a_value_comes_back_byte_for_byte,
        a_prefix_matches_whole_segments,
        a_directory_of_other_case_is_another,
        an_entry_is_listed_alone,
        remove_says_whether_it_was_there,
        a_value_too_large_is_refused,
        a_time_to_live_out_of_range_is_refused,
        a_thousand_entries_are_listed,
    }
    [Register & NestedNames] contract {
        a_nested_name_holds_a_slash,
    }
    [Register & Ownership] contract {
        absent_refuses_a_name_that_is_held,
        absent_lets_one_of_many_win,
        present_needs_somebody,
        any_takes_over_and_the_former_owner_is_told,
        present_takes_over_and_the_former_owner_is_told,
        a_token_grows_with_every_owner,
    }
    [Register] leases {
        an_entry_that_nobody_renews_expires,
        a_longer_time_to_live_ends_when_it_is_said,
        a_renewal_keeps_an_entry,
        a_renewal_after_a_removal_says_evicted,
        an_update_keeps_the_token_and_renews,
        deregister_is_idempotent,
        deregister_spares_a_successor,
        deregister_works_with_a_restored_lease,
    }
    [Register & Ownership] leases {
        a_renewal_after_expiry_says_lost,
        an_update_of_a_lost_entry_changes_nothing,
        an_expired_owner_harms_no_successor,
    }
    [Register & Watch] watching {
        a_watch_is_armed_when_it_returns,
        a_watch_of_one_entry,
        a_watch_ignores_renewals,
        a_watch_sees_expiry,
        a_watch_shows_progress_when_idle,
        a_watch_from_the_future_says_so,
        a_watch_from_another_epoch_says_so,
    }
    [Register & Watch & NestedNames] watching {
        a_watch_stays_in_its_directory,
    }
    [Register & Watch & Ownership] watching {
        an_index_of_an_entry_lasts,
    }
    [Register & Events] watching {
        a_watch_sees_every_change_in_order_once,
        a_watch_tells_why,
    }
    [Register & Events & Resume] watching {
        a_watch_resumes_in_the_past,
        a_watch_from_every_cut_agrees,
        a_compacted_watch_says_so,
        many_changes_at_once_arrive,
    }
    [Register & Watch] states {
        every_state_that_lasts_is_seen,
        what_a_watch_skips_never_leads_astray,
        a_replaced_entry_is_told_as_gone_and_new,
    }
    [Register & States] states {
        a_name_that_is_taken_over_is_told_as_gone_and_new,
    }
    [Register & Watch] subscribing {
        a_subscription_begins_with_a_snapshot,
        an_outage_is_told_and_changes_nothing,
        a_slow_subscriber_ends_with_the_truth,
        comparing_the_list_finds_what_was_lost,
        folding_a_subscription_gives_the_list,
    }
    [Register & Events] subscribing {
        comparing_the_list_finds_nothing_wrong,
    }
    [Register & Events & Resume] subscribing {
        a_subscription_resumes_without_a_snapshot,
        a_subscription_goes_on_from_a_list,
        a_gap_is_one_snapshot_of_everything,
        a_subscription_survives_an_outage,
        a_compaction_while_away_is_a_gap,
    }
    [Register & Watch & NoResume] subscribing {
        a_subscription_begins_anew_after_an_outage,
    }
    [Register & Watch] sharing {
        many_subscriptions_cost_one_watch,
        the_last_subscription_ends_the_watch,
        a_late_subscription_begins_with_the_truth,
        a_subscription_that_joins_a_churn_misses_and_repeats_nothing,
        a_slow_subscription_beside_a_quick_one,
        an_outage_is_told_to_each,
    }
    [Register & Events & Resume] sharing {
        a_gap_is_told_to_each,
        one_that_resumes_beside_others_is_told_what_it_missed,
    }
    [Register & Watch] announcing {
        an_announced_entry_stands,
        an_announced_entry_outlives_its_time,
        an_eviction_is_final_and_told_at_once,
        an_outage_shorter_than_the_time_to_live_loses_nothing,
        an_outage_longer_than_the_time_to_live_is_mended,
        the_latest_value_is_registered_again,
        a_refused_update_changes_nothing,
        deregistering_wins,
        deregistering_during_an_outage_ends,
        dropping_a_registration_releases_it,
        giving_up_an_announcement_leaves_nothing,
        what_is_left_can_be_taken_over,
    }
    [Register & Watch] grace {
        a_living_member_is_never_missing_after_an_outage,
    }
    [Register & Events] grace {
        a_member_that_leaves_on_purpose_is_gone_during_the_grace,
    }
    [Register & Watch] runtimes {
        a_handle_works_on_the_next_runtime,
        a_registration_says_that_its_runtime_has_ended,
        subscriptions_of_several_runtimes_share_a_handle,
    }
    [Register & Watch & Ownership] announcing {
        a_name_that_was_taken_over_is_left_alone,
        an_announced_conflict_is_an_error,
        a_single_ownership_does_not_come_back,
    }
}
