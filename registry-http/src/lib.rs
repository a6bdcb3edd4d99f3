#![doc = include_str!("../README.md")]

mod client;
mod clients;
mod endpoints;
mod exchange;
mod failure;
mod identity;

pub use client::{builder, reason};
pub use endpoints::{Endpoints, Repeat};
pub use exchange::BODY_LIMIT;
pub use failure::{Failure, late, unexpected};
pub use identity::Identity;
