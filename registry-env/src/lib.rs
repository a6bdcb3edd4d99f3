#![doc = include_str!("../README.md")]

mod backend;
mod config;
mod error;
mod wire;

pub use backend::EnvRegistry;
