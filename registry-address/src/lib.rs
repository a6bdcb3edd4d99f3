#![doc = include_str!("../README.md")]

mod address;
mod endpoint;
mod secret;
mod uri;

pub use address::{Address, Scheme};
pub use endpoint::host;
pub use secret::Secret;
