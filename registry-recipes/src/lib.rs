#![doc = include_str!("../README.md")]

mod election;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod line;
mod lock;
pub mod partition;
pub mod scheduler;
mod view;

pub use election::{Election, Leader, Leadership, Observer};
pub use lock::{Guard, Lock};
