#![doc = include_str!("../README.md")]

mod command;
mod pipes;
mod reaper;
mod run;
mod running;
mod search;
mod signal;
mod spawn;
mod spawn_error;
mod status;
mod strays;
mod table;
mod terminal;

pub use command::{Command, Input, Output};
pub use pipes::Captured;
pub use reaper::Processes;
pub use run::Outcome;
pub use running::Running;
pub use signal::{Signal, UnknownSignal};
pub use spawn_error::{SpawnError, SpawnErrorKind};
pub use status::Status;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use strays::fuzzing;
