//! Deliberately broken subjects. A checker that does not name what each of them breaks proves nothing by its silence.
//!
//! They are clients of their own, written as such clients are written elsewhere, with one defect each; without a defect
//! the same client passes the same schedule.

mod list;
mod locks;
mod partitions;
mod registrars;
mod run;
mod schedules;
mod watchers;

pub use list::{MUTANTS, Mutant, Subject, innocents};
pub use run::{Trial, run};
pub use schedules::Schedule;
