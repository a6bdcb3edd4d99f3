//! The embedded store among real processes, and on real files.
//!
//! The test starts itself again as the other processes: [`child`] says what they do.

mod child;
mod clocks;
mod files;
mod history;
mod processes;
mod reading;
mod together;

use std::process::ExitCode;
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};
use registry_core::{Change, Dir, Event, Key, RegisterOptions, Registry, RegistryExt, Snapshot, Subscription};
use registry_sqlite::SqliteRegistry;
use tokio::time::timeout;

macro_rules! tests {
    ($($module:ident { $($name:ident),+ $(,)? })+) => {
        vec![$($(Trial::test(concat!(stringify!($module), "::", stringify!($name)), || {
            // Removed after the runtime has ended: a watch that still runs would make the store anew.
            let place = tempfile::tempdir()?;
            block_on(async { timeout(Duration::from_mins(1), $module::$name(place.path())).await })?;
            Ok(())
        })),+),+]
    };
}

fn main() -> ExitCode {
    if let Some(role) = child::role() {
        block_on(child::play(&role));
        return ExitCode::SUCCESS;
    }
    let tests = tests! {
        processes {
            a_change_reaches_another_process_at_once,
            what_the_file_system_tells_of_is_there,
            an_owner_that_is_killed_expires_and_the_watcher_is_told,
            eight_processes_at_once_agree_on_the_history,
            a_new_store_is_opened_by_several_at_once,
            two_connections_of_one_process_do_not_disturb_each_other,
        }
        files {
            the_store_belongs_to_its_user_alone,
            a_symbolic_link_is_refused,
            a_directory_that_others_may_write_is_refused,
            a_store_that_others_may_write_is_refused,
            a_relative_path_is_refused,
            a_file_that_is_no_store_is_left_alone,
            the_database_of_another_program_is_left_alone,
            a_store_of_a_later_version_is_left_alone,
        }
        history {
            a_store_that_is_removed_while_it_is_open_begins_again,
            a_store_whose_file_alone_is_removed_begins_again,
            whoever_slept_through_a_removal_shares_the_new_store,
            a_history_is_forgotten_at_its_bound,
            a_row_that_cannot_be_read_harms_no_other,
            a_position_that_cannot_be_is_an_error,
        }
        clocks {
            in_a_time_namespace,
            with_a_boot_id_of_its_own,
            without_proc,
            the_version_before_goes_on_beside_us,
            after_a_restart_of_the_machine_goes_what_nobody_renews,
        }
        reading {
            beside_those_who_write,
            while_nobody_writes,
            as_another_user,
            on_a_read_only_mount,
            before_there_is_a_store,
            nobody_is_removed_by_a_reader,
        }
        together {
            each_of_many_at_once_has_its_own_answer,
            what_one_takes_away_is_there_for_the_next,
        }
    };
    let tests =
        tests.into_iter().map(|test| match clocks::lacks(test.name()).or_else(|| reading::lacks(test.name())) {
            Some(why) => {
                eprintln!("{} is skipped: {why}", test.name());
                test.with_ignored_flag(true)
            }
            None => test,
        });
    libtest_mimic::run(&Arguments::from_args(), tests.collect()).exit_code()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(future)
}

fn dir() -> Dir {
    Dir::new("/clusters/web").expect("a valid path")
}

fn key(name: &str) -> Key {
    dir().key(name).expect("a valid name")
}

/// Long enough that nothing expires during a test.
fn long() -> RegisterOptions {
    RegisterOptions::new().ttl(Duration::from_hours(1))
}

async fn list(registry: &SqliteRegistry) -> Snapshot {
    registry.list(&dir().into()).await.expect("listed")
}

fn names(snapshot: &Snapshot) -> Vec<String> {
    snapshot.entries.iter().map(|entry| entry.name.to_string()).collect()
}

/// A subscription of which the first snapshot was read.
async fn follow(registry: &SqliteRegistry) -> (Subscription, Snapshot) {
    let mut subscription = std::sync::Arc::new(registry.clone()).subscribe(dir());
    match next(&mut subscription).await {
        Event::Snapshot { snapshot, .. } => (subscription, snapshot),
        other => panic!("the first event is {other:?}"),
    }
}

async fn next(subscription: &mut Subscription) -> Event {
    subscription.next().await.expect("it does not end").expect("nothing is permanent")
}

/// The next change, one of them alone.
async fn change(subscription: &mut Subscription) -> Change {
    match next(subscription).await {
        Event::Changes(mut batch) if batch.changes.len() == 1 => batch.changes.remove(0),
        other => panic!("instead of one change: {other:?}"),
    }
}
