#![doc = include_str!("../README.md")]

mod address;
mod check;
mod digest;
mod duration;
mod error;
mod file;
mod follow;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod handlers;
mod log;
mod members;
mod membership;
mod model;
mod news;
mod notify;
mod pending;
mod pipeline;
mod remembered;
mod render;
mod seldom;
mod spec;
mod status;
mod text;
mod write;

pub use digest::digest;
pub use duration::parse_duration;
pub use error::{Error, ErrorKind, Result};
pub use handlers::{Handlers, Outcome, Prepared, Setup, SignalChild};
pub use members::Members;
pub use membership::{Membership, Memberships};
pub use pending::Pending;
pub use pipeline::Pipeline;
pub use remembered::{Known, Remembered};
pub use spec::{FileKind, FileSpec, Mode, NotifyKind, NotifySpec, OnEmpty, OnFirst, Retry, Shape, WriteMethod};
pub use status::{FileStatus, NotifyStatus, Status, Written};
pub use write::replace;
