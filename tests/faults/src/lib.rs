#![doc = include_str!("../README.md")]

pub mod checker;
pub mod fire;
pub mod history;
pub mod mutants;
pub mod oracle;
pub mod proxy;
pub mod runs;
pub mod stores;
pub mod subjects;

/// What goes wrong with a run itself, as opposed to what it shows.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// The result of what a run needs.
pub type Result<T, E = Error> = std::result::Result<T, E>;
