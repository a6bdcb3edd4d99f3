//! What was measured on.

use std::fmt;
use std::fs;

use serde::{Deserialize, Serialize};

use super::noise::Heard;

/// The machine, and how quiet it was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    kernel: String,
    /// The versions of the servers, in the order in which they were first used.
    pub(crate) servers: Vec<String>,
    pub(crate) noise: Option<Heard>,
}

impl Machine {
    pub(crate) fn this() -> Self {
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            processor: model.map_or("an unknown processor", |(_, name)| name.trim()).to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: release.trim().to_owned(),
            servers: Vec::new(),
            noise: None,
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({} cores), Linux {}", self.processor, self.cores, self.kernel)?;
        for server in &self.servers {
            writeln!(f, "{server}")?;
        }
        if let Some(Heard { work, stolen_percent, load }) = &self.noise {
            let Some(ratio) = Some(work.p99 / work.median).filter(|ratio| ratio.is_finite()) else { return Ok(()) };
            let word = match ratio {
                ..1.1 => "quiet",
                ..1.5 => "disturbed at times: trust medians, not p99",
                _ => "busy: trust orders of magnitude only",
            };
            writeln!(
                f,
                "noise: a fixed piece of work took {:.2} ms (median), {:.2} (p99), {:.2} (max); {stolen_percent:.1} % of the \
                 processors' time was stolen; load {load:.1}: {word}",
                work.median, work.p99, work.max
            )?;
        }
        Ok(())
    }
}
