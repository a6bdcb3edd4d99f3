//! Recovery and the keeper of registrations against a scripted registry, on a clock that only moves when everybody waits.
//!
//! The clock makes hours pass in milliseconds and leaves nothing to the speed of the machine: every duration that a
//! test names is exact, but for the spread that the code itself adds.

mod keeper;
mod properties;
mod recovery;
mod simulation;
mod support;
