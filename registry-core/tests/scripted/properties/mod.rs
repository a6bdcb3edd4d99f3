//! What holds for every history, every fault and every pace of reading.

mod histories;
mod names;
mod registrations;
mod subscriptions;

use proptest::test_runner::Config;

/// A hundred cases or so, which take seconds; more are asked for with `PROPTEST_CASES`.
fn cases() -> Config {
    let default = Config::default();
    Config { cases: default.cases / 2, failure_persistence: None, max_shrink_iters: 2000, ..default }
}
