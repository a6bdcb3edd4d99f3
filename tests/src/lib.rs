//! What the end-to-end tests stand on: the program as its users start it, real registries, and witnesses that do not
//! go through the program.
//!
//! A test is a function that takes a [`Context`] (or a [`Sandbox`], when it needs no registry) and panics when it fails;
//! a [`Suite`] runs it once on each registry that it is made for.

#![expect(clippy::missing_panics_doc, reason = "a test fails by a panic, so everything here does")]

pub mod canary;
mod context;
mod original;
mod process;
mod program;
mod runtime;
mod sandbox;
mod server;
mod suite;
mod waiting;
mod witness;

pub use context::{Backend, Context};
pub use original::Original;
pub use process::{Finished, Launch, Process};
pub use program::program;
pub use runtime::block_on;
pub use rustix::process::Signal;
pub use sandbox::Sandbox;
pub use server::Server;
pub use suite::Suite;
pub use waiting::{SOON, eventually, never};
pub use witness::Witness;
