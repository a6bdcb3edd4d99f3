//! Each state of the recovery, and each way from one to another.

mod gaps;
mod grace;
mod lagging;
mod reconciling;
mod reconnecting;
mod sharing;
mod starting;
