//! The options of `schedule`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use registry_handlers::parse_duration;

/// Not a doc comment, because its URL is for people who read a terminal.
const COUCHBASE_HELP: &str =
    "Drive Couchbase Server instead of running commands: its scheme and port, such as http://localhost:8091";

const COMMANDS: [&str; 4] = ["join", "recover", "rebalance", "failover"];

#[derive(Debug, Args)]
pub(crate) struct Schedule {
    /// The directory of the cluster, such as /services/couchbase-array
    #[arg(long, value_name = "PATH")]
    pub(crate) dir: String,
    /// Where the other nodes find this one: a host or IP address, and a port if any
    #[arg(long, value_name = "ADDRESS", required_unless_present = "observe")]
    pub(crate) address: Option<String>,
    /// The name of this run of the node; a new one for each run unless given
    #[arg(long, value_name = "NAME")]
    pub(crate) session: Option<String>,
    /// Makes the node part of the cluster; it ends with 10 when the node was part of it already
    #[arg(long, value_name = "COMMAND")]
    pub(crate) join: Option<String>,
    /// Asks that a node which was part of the cluster keeps its data; runs before `--rebalance`
    #[arg(long, value_name = "COMMAND")]
    pub(crate) recover: Option<String>,
    /// Spreads the data over all members
    #[arg(long, value_name = "COMMAND")]
    pub(crate) rebalance: Option<String>,
    /// Hands over what the node has, when it stops
    #[arg(long, value_name = "COMMAND")]
    pub(crate) failover: Option<String>,
    /// How long one command may take
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "30m")]
    pub(crate) command_timeout: Duration,
    #[arg(long, value_name = "URL", help = COUCHBASE_HELP, requires = "couchbase_user", requires = "couchbase_password_file", conflicts_with_all = COMMANDS)]
    pub(crate) couchbase: Option<String>,
    /// The administrator of Couchbase Server
    #[arg(long, value_name = "NAME", requires = "couchbase")]
    pub(crate) couchbase_user: Option<String>,
    /// A file with the administrator's password
    #[arg(long, value_name = "FILE", requires = "couchbase")]
    pub(crate) couchbase_password_file: Option<PathBuf>,
    /// Publish the address of the master under this key, such as /services/couchbase
    #[arg(long, value_name = "PATH")]
    pub(crate) master_key: Option<String>,
    /// How long stopping may take, the failover included
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "30s")]
    pub(crate) stop_timeout: Duration,
    /// How long a node that died is still taken for one
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "30s")]
    pub(crate) ttl: Duration,
    /// How long a leader that died keeps the others from leading
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "5s")]
    pub(crate) leader_ttl: Duration,
    /// Take no part: print what the nodes are told, one JSON document on each line
    #[arg(long, conflicts_with_all = ["address", "couchbase", "master_key", "session", "join", "recover", "rebalance", "failover"])]
    pub(crate) observe: bool,
}
