//! Files and notifications as they are written down in a configuration.

mod file;
mod mode;
mod notify;

pub use file::{FileKind, FileSpec, OnEmpty, Shape, WriteMethod};
pub use mode::Mode;
pub use notify::{NotifyKind, NotifySpec, OnFirst, Retry};
