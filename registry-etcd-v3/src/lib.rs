#![doc = include_str!("../README.md")]

mod access;
mod backend;
mod batches;
mod config;
mod connection;
mod diagnosis;
mod dial;
mod endpoints;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod leader;
mod list;
mod orphans;
mod register;
mod renew;
mod rounds;
mod version;
mod watch;
mod wire;

pub use backend::{EtcdV3, connect};
pub use config::{Config, SCHEME};
pub use registry_address::{Address, Secret};
