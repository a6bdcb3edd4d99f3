#![doc = include_str!("../README.md")]

mod adopt;
mod backend;
mod clock;
mod config;
mod error;
mod file;
mod hub;
#[cfg(test)]
mod simulation;
mod statements;
mod store;
mod turns;
mod wire;
mod witness;

pub use backend::{SqliteRegistry, connect};
pub use config::Config;
