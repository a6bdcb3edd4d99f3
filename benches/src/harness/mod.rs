//! How is measured: order, statistics, noise, other processes, and the report.

pub(crate) mod compare;
pub(crate) mod document;
mod machine;
mod noise;
mod process;
mod relay;
mod report;
mod samples;
mod section;

pub(crate) use noise::Noise;
pub(crate) use process::{Memory, Process};
pub(crate) use relay::Relay;
pub(crate) use report::Report;
pub(crate) use samples::Samples;
pub(crate) use section::{FLOOR, FLOOR_WITH_PROMISES, Limit, OURS, Section, Unit};
