#![doc = include_str!("../README.md")]

mod agent;
mod answer;
mod catalog;
mod client;
mod config;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod kv;
mod ownership;
mod paths;
mod poll;
mod proof;
mod service;
mod state;
mod watch;
mod wire;

pub use catalog::Catalog;
pub use config::{CATALOG, Config, KV, connect, connect_kv};
pub use kv::Kv;
pub use registry_address::{Address, Secret};
