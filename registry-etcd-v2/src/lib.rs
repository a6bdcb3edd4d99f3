#![doc = include_str!("../README.md")]

mod answer;
mod backend;
mod config;
mod endpoints;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod ownership;
mod pace;
mod paths;
mod poll;
mod register;
mod tree;
mod watch;
mod wire;

pub use backend::EtcdV2;
pub use config::{Config, SCHEME, connect};
pub use registry_address::{Address, Secret};
