//! One file for each row of the report.

mod burst;
mod fan_out;
mod first_file;
mod fleet;
mod idle;
mod keeping;
mod latency;
mod memory;
mod one_change;
mod partition;
mod registration;

use std::fmt;

use clap::ValueEnum;

use crate::Result;
use crate::bench::Bench;
use crate::harness::Section;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Row {
    /// From the acknowledgement of a change to the file that shows it
    Latency,
    /// What one change costs, by the number of members
    OneChange,
    /// From the start to the first file
    FirstFile,
    /// Resident memory, and the size of the program
    Memory,
    /// A container that has nothing to do
    Idle,
    /// Many changes at once
    Burst,
    /// Registrations per second
    Registration,
    /// Keeping 10,000 registrations alive
    Keeping,
    /// 1,000 subscriptions of one directory
    FanOut,
    /// Parts of many members, and of real processes
    Partition,
}

impl Row {
    /// The rows of a run that names none.
    pub(crate) fn all() -> Vec<Self> {
        Self::value_variants().to_vec()
    }

    pub(crate) async fn measure(self, bench: &Bench) -> Result<Section> {
        match self {
            Self::Latency => latency::measure(bench).await,
            Self::OneChange => one_change::measure(bench).await,
            Self::FirstFile => first_file::measure(bench).await,
            Self::Idle => idle::measure(bench).await,
            Self::Burst => burst::measure(bench).await,
            Self::Memory => memory::measure(bench).await,
            Self::Registration => registration::measure(bench).await,
            Self::Keeping => keeping::measure(bench).await,
            Self::FanOut => fan_out::measure(bench).await,
            Self::Partition => partition::measure(bench).await,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}
