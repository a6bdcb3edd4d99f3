//! Locks and elections on real registries.

mod counted;
mod election;
mod history;
mod lock;
mod outage;
#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Arguments;
use registry_core::{Dir, Registry};
use registry_recipes::{Election, Lock};
use support::{Place, everywhere};

fn main() -> ExitCode {
    let trials = everywhere! {
        everywhere lock {
            the_second_waits_for_the_first,
            whoever_comes_first_is_served_first,
            waiting_has_an_end,
            giving_up_leaves_nothing_behind,
            a_holder_that_was_removed_is_told,
            a_waiting_one_that_was_removed_is_told,
            what_the_events_do_not_show_yet_is_asked_for,
            what_is_not_a_contender_does_not_count,
        }
        everywhere counted {
            as_many_as_there_are_permits,
        }
        everywhere outage {
            a_short_outage_loses_nothing,
            a_holder_that_is_cut_off_stops_before_the_next_begins,
            a_place_that_is_lost_while_waiting_is_at_the_end,
            a_restarted_server_keeps_the_lock,
        }
        everywhere election {
            everybody_knows_who_leads,
            resigning_hands_over_at_once,
            a_leader_that_dies_is_followed_in_its_time_to_live,
            an_observer_that_comes_late_knows_the_leader,
        }
        brief history {
            tokens_and_turns_never_overlap,
        }
    };
    let mut arguments = Arguments::from_args();
    // They mostly wait for leases to expire.
    arguments.test_threads.get_or_insert(6);
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Short, for trials that wait for it; longer where the registry keeps nothing so short.
const SHORT: Duration = Duration::from_secs(3);

fn dir() -> Dir {
    Dir::new("/locks/trial").expect("a valid path")
}

fn lock_of(registry: Arc<dyn Registry>) -> Lock {
    let ttl = support::ttl(&*registry, SHORT);
    Lock::new(registry, dir()).ttl(ttl)
}

/// The lock over a connection of its own.
fn lock(place: &Place) -> Lock {
    lock_of(place.connect())
}

fn election(place: &Place) -> Election {
    Election::new(place.connect(), dir()).ttl(place.ttl(SHORT))
}

/// Who is in the line, in the order of the registry.
async fn contenders(place: &Place) -> Vec<String> {
    let mut entries = place.connect().list(&dir().into()).await.expect("listed").entries;
    entries.sort_by_key(|entry| entry.index.position());
    entries.into_iter().map(|entry| String::from_utf8_lossy(&entry.value).into_owned()).collect()
}

/// Waits until this many are in the line.
async fn until_there_are(place: &Place, count: usize) {
    let begun = tokio::time::Instant::now();
    while contenders(place).await.len() != count {
        assert!(begun.elapsed() < Duration::from_mins(1), "there are {:?}, not {count}", contenders(place).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
