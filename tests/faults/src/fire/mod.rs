//! Making everything fail.

mod acts;
mod churn;
mod fault;
mod members;
mod world;

pub use fault::Fault;
pub use world::{Outcome, World};
