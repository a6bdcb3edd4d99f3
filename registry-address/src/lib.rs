#![doc = include_str!("../README.md")]

mod address;
mod endpoint;
mod resolver;
mod secret;
mod servers;
mod uri;

pub use address::{Address, Scheme};
pub use endpoint::host;
pub use resolver::{Resolve, Resolver};
pub use secret::Secret;
pub use servers::{Round, Route, Server, Servers, Unresolved};
