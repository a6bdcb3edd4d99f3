#![doc = include_str!("../README.md")]

mod exposed;
mod rotated;
mod stamp;
mod tls;

pub use exposed::warn_if_exposed;
pub use rotated::{Rotated, password};
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use tls::fuzzing;
pub use tls::{Tls, client_config, trust_nobody, trust_system};
