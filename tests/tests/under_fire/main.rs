//! The program under fire: a hundred agents on one registry that is killed, frozen and wiped, and one agent that is killed
//! again and again while it writes.

mod accepts;
mod backup;
mod fleet;
mod kills;
mod memory;
mod recorder;
mod steps;
mod trial;

use std::process::ExitCode;

use cluster_control_tests::{Backend, Suite};

fn main() -> ExitCode {
    Suite::new()
        .on_own(&[Backend::EtcdV3], "a_hundred_agents", trial::a_hundred_agents)
        .on_own(&[Backend::EtcdV2], "thirty_agents", trial::thirty_agents)
        .on_own(&[Backend::Sqlite], "thirty_frozen_agents", trial::thirty_frozen_agents)
        .on_own(&[Backend::Sqlite], "thirty_agents_without_their_store", trial::thirty_agents_without_their_store)
        .on_own_process(&[Backend::EtcdV3], "thirty_agents_on_a_restored_backup", backup::of_a_server)
        .on_own(&[Backend::Sqlite], "thirty_agents_on_an_older_copy", backup::of_a_file)
        .on_own(&Backend::ALL, "a_start_in_an_outage_forgets_nobody", memory::a_start_in_an_outage_forgets_nobody)
        .on_own(&Backend::ALL, "a_reload_in_an_outage_forgets_nobody", memory::a_reload_in_an_outage_forgets_nobody)
        .on_own(&[Backend::EtcdV3], "who_left_before_the_start_is_gone", memory::who_left_before_the_start_is_gone)
        .on_own(&[Backend::Sqlite], "killed_at_any_moment", kills::killed_at_any_moment)
        .on_own_where(steps::is_possible, &[Backend::Sqlite], "killed_at_every_step", steps::killed_at_every_step)
        .on_own_where(
            steps::is_possible,
            &[Backend::Sqlite],
            "killed_at_every_step_of_a_start",
            steps::killed_at_every_step_of_a_start,
        )
        .run()
}
