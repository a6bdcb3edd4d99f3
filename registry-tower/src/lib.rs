#![doc = include_str!("../README.md")]

#[cfg(feature = "tonic")]
mod channel;
mod discover;

#[cfg(feature = "tonic")]
pub use channel::{Channel, channel, channel_with, endpoint};
pub use discover::Discover;
