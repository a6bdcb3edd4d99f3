//! What `partition` is told.

use std::ffi::OsString;
use std::num::IntErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use processes::Signal;
use registry_handlers::parse_duration;

/// Below the options.
pub(crate) const HELP: &str = "\
Without a command, each change is one line of JSON on stdout:
  {\"base\":2,\"workers\":1,\"total\":7,\"index\":\"42\"}    (base is null while there is no part)

With a command, {base}, {workers} and {total} in its arguments are replaced, and CLUSTER_CONTROL_BASE, \
CLUSTER_CONTROL_WORKERS and CLUSTER_CONTROL_TOTAL are set. It runs only while this instance has a part. When it ends by \
itself, the instance leaves and exits with its status.";

#[derive(Debug, Args)]
pub(crate) struct PartitionArguments {
    /// The cluster, usually the name of the application; members meet below /KEY[/PARTITION]/ENV
    pub(crate) key: String,
    /// A partition of the cluster
    #[arg(long, value_name = "PARTITION")]
    pub(crate) partition: Option<String>,
    /// The environment; `production` when not given
    #[arg(long = "env", value_name = "ENV")]
    pub(crate) environment: Option<String>,
    /// The name of this instance; a UUID when not given. Members are in the byte order of their names
    #[arg(long, value_name = "NAME")]
    pub(crate) id: Option<String>,
    /// How many workers this instance has
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = one_or_more, allow_negative_numbers = true)]
    pub(crate) workers: u64,
    /// Fixed instead of agreed upon: the index of the first worker. No registry is used
    #[arg(long, value_name = "I", requires = "total", value_parser = zero_or_more, allow_negative_numbers = true, conflicts_with_all = ["stable", "id", "ttl"])]
    pub(crate) index: Option<u64>,
    /// Fixed instead of agreed upon: how many workers there are in all
    #[arg(long, value_name = "T", requires = "index", value_parser = one_or_more, allow_negative_numbers = true)]
    pub(crate) total: Option<u64>,
    /// Observe without taking part
    #[arg(long, conflicts_with_all = ["workers", "id", "ttl", "index", "command"])]
    pub(crate) passive: bool,
    /// Take the lowest free indices and keep them: who leaves moves nobody else
    #[arg(long)]
    pub(crate) stable: bool,
    /// How long the entry outlives its last renewal; 2m, or 15s with --stable
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) ttl: Option<Duration>,
    /// How often it is renewed; a quarter of the time to live, a third with --stable
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, conflicts_with_all = ["passive", "index"])]
    pub(crate) renew_every: Option<Duration>,
    /// What is done with the command when the part changes
    #[arg(long, value_name = "HOW", default_value = "restart", requires = "command")]
    pub(crate) on_change: OnChange,
    /// Which signal tells the command
    #[arg(long, value_name = "SIGNAL", default_value = "HUP")]
    pub(crate) signal: Signal,
    /// Where the command finds its part: the line of JSON, written before it is started and before it is told
    #[arg(long, value_name = "PATH", requires = "command")]
    pub(crate) file: Option<PathBuf>,
    /// How long the command may take to end before it is killed
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    pub(crate) grace: Duration,
    /// The command and its arguments
    #[arg(last = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

fn one_or_more(text: &str) -> Result<u64, String> {
    at_least(1, text)
}

fn zero_or_more(text: &str) -> Result<u64, String> {
    at_least(0, text)
}

fn at_least(least: u64, text: &str) -> Result<u64, String> {
    match text.parse::<u64>() {
        Ok(number) if number >= least => Ok(number),
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => Err("the number is too large".to_owned()),
        _ => Err(format!("give a number of {least} or more")),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnChange {
    /// It gets the signal, and reads --file again
    Signal,
    /// It is stopped, and started with the new part
    Restart,
}
