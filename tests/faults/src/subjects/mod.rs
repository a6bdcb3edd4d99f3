//! Those who use the registry under fire, and write down what they do and see.

mod client;
mod holders;
mod locks;
mod nodes;
mod partitions;
mod process;
mod registrars;
mod resource;
mod role;
mod watchers;

pub use client::{Client, Context};
pub use holders::keep;
pub use locks::hold;
pub use nodes::node;
pub use partitions::{claim, join};
pub use process::{Part, play};
pub use registrars::register;
pub use resource::Resource;
pub use role::Role;
pub use watchers::watch;

pub(crate) use partitions::Having;
pub(crate) use registrars::Belief;
pub(crate) use watchers::{change, members};

use std::time::Duration;

/// How often a subject asks itself whether it still believes in what it has.
pub(crate) const LOOK: Duration = Duration::from_millis(25);
