//! Registries around a registry: each does one thing, and they may be put around each other in any order.
//!
//! ```no_run
//! # fn example() -> registry::Result<()> {
//! use std::{sync::Arc, time::Duration};
//! use registry::Dir;
//! use registry::layer::{HoldLastGood, Instrumented, Namespace, Timeout};
//!
//! let registry = registry::connect("sqlite:")?;
//! let registry = Timeout::new(registry, Duration::from_secs(2));
//! let registry = Instrumented::new(registry);
//! let registry = HoldLastGood::new(registry, Duration::from_mins(10));
//! let registry = Arc::new(Namespace::new(registry, Dir::new("/staging")?));
//! # Ok(())
//! # }
//! ```

mod held;
mod hold;
mod instrumented;
mod namespace;
mod timeout;

pub use hold::HoldLastGood;
pub use instrumented::Instrumented;
pub use namespace::Namespace;
pub use timeout::Timeout;
