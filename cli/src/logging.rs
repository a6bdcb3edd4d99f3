//! stderr: one line for each thing that happens, never one for each heartbeat.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::arguments::{Global, LogFormat};
use crate::stderr::Stderr;

/// How the names of this program's own crates begin; what libraries log is of no use to those who run it.
const OURS: [&str; 3] = ["cluster_control", "processes", "registry"];

/// Starts logging. `usual` is the level without `-v` and `-q`.
pub(crate) fn start(global: &Global, usual: LevelFilter) {
    let level = match (global.quiet, global.verbose) {
        (true, _) => LevelFilter::ERROR,
        (_, 0) => usual,
        (_, 1) => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let lines = fmt::layer().with_writer(|| Stderr).with_target(false).with_ansi(false);
    let lines = match global.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(targets(level))).init();
}

fn targets(level: LevelFilter) -> Targets {
    Targets::new().with_targets(OURS.map(|name| (name, level)))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn every_crate_of_ours_is_heard_and_no_other() {
        let targets = targets(LevelFilter::DEBUG);
        for ours in ["cluster_control::run", "processes", "registry", "registry_consul::poll", "registry_http"] {
            assert!(targets.would_enable(ours, &Level::DEBUG), "{ours}");
        }
        for other in ["hyper_util::client", "reqwest", "tokio", "h2"] {
            assert!(!targets.would_enable(other, &Level::ERROR), "{other}");
        }
    }
}
