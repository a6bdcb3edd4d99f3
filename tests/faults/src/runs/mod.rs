//! Who lives in a world, what happens to them, and what comes of it.

mod inhabitants;
mod report;
mod select;
mod sweep;

pub use inhabitants::Cast;
pub use report::{Caught, Report, Spared, faults_table, mutants_table, runs_table};
pub use select::{all_mutants, sweeps};
pub use sweep::Plan;
