//! Making everything fail.

mod acts;
mod churn;
mod fault;
mod world;

pub use fault::Fault;
pub use world::{Outcome, World};
