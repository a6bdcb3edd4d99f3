//! What `lock` and `elect` are told.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::Args;
use registry_handlers::parse_duration;

use crate::arguments::Format;

#[derive(Debug, Args)]
pub(crate) struct Lock {
    /// The lock: a name below /locks, or a path. `--timeout` limits the waiting (0s: only if it is free); exit 124
    pub(crate) name: String,
    /// How many may hold it at once
    #[arg(short = 'n', long, default_value = "1", value_name = "NUMBER", value_parser = positive, allow_hyphen_values = true)]
    pub(crate) permits: NonZeroUsize,
    #[command(flatten)]
    pub(crate) exclusive: Exclusive,
}

#[derive(Debug, Args)]
pub(crate) struct Elect {
    /// The election: a name below /elections, or a path. `--timeout` limits the waiting (0s: only if it is free); exit 124
    pub(crate) name: String,
    /// Print who leads, and end; 4 when nobody does
    #[arg(long, conflicts_with = "command")]
    pub(crate) show: bool,
    /// How the leader is printed
    #[arg(long, short, default_value = "text", requires = "show")]
    pub(crate) output: Format,
    #[command(flatten)]
    pub(crate) exclusive: Exclusive,
}

fn positive(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "give a number of 1 or more".to_owned())
}

/// What is run while something is held.
#[derive(Debug, Args)]
pub(crate) struct Exclusive {
    /// How long it stays taken when this process dies; 15s when not given
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) ttl: Option<Duration>,
    /// What the registry shows of the holder; host name and process number when not given
    #[arg(long, value_name = "TEXT")]
    value: Option<String>,
    /// How long before it would be lost the command gets TERM, at most a quarter of the time to live; KILL comes when it is
    /// lost, and the exit code is 6
    #[arg(long, default_value = "2s", value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) grace: Duration,
    /// How long the command may take to end when this process is asked to
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) stop_timeout: Duration,
    /// The command; it finds the fencing token in `CLUSTER_CONTROL_TOKEN`
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

impl Exclusive {
    /// What the registry shows of this holder.
    pub(crate) fn value(&self) -> String {
        self.value.clone().unwrap_or_else(|| {
            let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
            format!("{host} {}", std::process::id())
        })
    }
}
