#![doc = include_str!("../README.md")]

mod announce;
mod backoff;
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod entry;
mod error;
mod ext;
mod index;
mod lease;
mod limit;
mod name;
mod name_map;
mod options;
mod registry;
mod subscription;
mod text;

pub use announce::{Registration, State, Status};
pub use async_trait::async_trait;
pub use backoff::Backoff;
pub use bytes::Bytes;
pub use clock::Moment;
pub use entry::{Batch, Change, Entry, MAX_VALUE, Removed, Snapshot};
pub use error::{Error, ErrorKind, Result, Retry};
pub use ext::RegistryExt;
pub use index::Index;
pub use lease::Lease;
pub use name::{Dir, Key, MAX_PATH, MAX_SEGMENT, Name, Scope};
pub use name_map::{Iter as NameMapIter, NameMap};
pub use options::{Capabilities, Condition, DEFAULT_TTL, Info, OwnWatch, RegisterOptions, WatchKind, check_value};
pub use registry::{BatchStream, Registry, batch_stream};
pub use subscription::{Cause, DEFAULT_GRACE, Event, Gap, SubscribeOptions, Subscription, Suppressed};
pub use text::printable;
