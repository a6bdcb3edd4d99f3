//! The command line. Completions and manual pages are made from the same definitions.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use registry_handlers::parse_duration;

use crate::commands::{Schedule, exclusion, partition};

/// Registers a container, watches its neighbours, rewrites files and tells processes.
///
/// stdout is data; everything else goes to stderr. Exit codes: 0 ok, 1 error, 2 usage, 3 evicted, 4 not found,
/// 6 lock or leadership lost, 69 registry unavailable, 77 refused by the registry, 78 configuration, 124 time-out, 126 and 127 child not executable
/// and not found, 128+n child killed by signal n.
#[derive(Debug, Parser)]
#[command(name = "cluster-control", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Not a doc comment, because its URLs are for people who read a terminal.
const REGISTRY_HELP: &str = "The registry, such as etcd://h1:2379,h2:2379/prefix, etcd-v2://h:2379, consul://h, consul-kv://h, env: or \
    sqlite:///path; put a password into a file (?password_file=PATH), not here";

/// Options of every command, before or after its name.
#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// The configuration file, JSON or TOML; `cluster-control.conf` or `cluster-control.toml` in the working directory if
    /// there is one
    #[arg(long, visible_alias = "conf", global = true, env = "CLUSTER_CONTROL_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    #[arg(long, global = true, env = "CLUSTER_CONTROL_REGISTRY", hide_env_values = true, value_name = "URL", help = REGISTRY_HELP)]
    pub(crate) registry: Option<String>,

    /// How long to wait for the registry before giving up
    #[arg(long, global = true, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,

    /// Let commands inherit this variable, which is otherwise taken away from them because it holds a secret of the registry;
    /// can be given several times
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) pass_env: Vec<String>,

    /// Say more on stderr; twice: everything
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Say errors only
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// How messages are written to stderr
    #[arg(long, global = true, env = "CLUSTER_CONTROL_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One name on each line
    Text,
    /// One JSON document
    Json,
    /// One JSON document on each line
    Ndjson,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The whole job of a container: files, child, registration, changes, stop. Can be process 1
    Run(Run),
    /// Set the own key and keep it; ends when somebody removes it
    #[command(alias = "cc:heartbeat")]
    Heartbeat {
        /// Set it once, and end
        #[arg(long)]
        once: bool,
    },
    /// Wait until the own key is removed
    #[command(alias = "cc:watchkey")]
    Watchkey,
    /// Remove the own key, if it is still the own one
    #[command(alias = "cc:removekey")]
    Removekey,
    /// Write a cluster's files, and print the index to watch from
    #[command(alias = "cc:clusterprepare")]
    Clusterprepare {
        /// The cluster's name in the configuration
        #[arg(required_unless_present = "cluster_option")]
        cluster: Option<String>,
        #[arg(
            long = "cluster",
            value_name = "CLUSTER",
            id = "cluster_option",
            conflicts_with = "cluster",
            hide = true
        )]
        cluster_option: Option<String>,
    },
    /// Write a cluster's files whenever its members change, and run a command after each time
    #[command(alias = "cc:clusterwatch")]
    Clusterwatch {
        #[arg(long = "cluster", value_name = "CLUSTER", hide = true)]
        cluster_option: Option<String>,
        #[arg(long = "index", value_name = "INDEX", hide = true)]
        index_option: Option<String>,
        /// The cluster's name, the index that `clusterprepare` printed, and the command with its arguments
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "CLUSTER INDEX COMMAND",
            required = true
        )]
        words: Vec<String>,
    },
    /// List the members of a cluster
    Members {
        /// A name in the configuration, a name below /clusters, or a path
        cluster: String,
        #[arg(long, short, default_value = "text")]
        output: Format,
        /// Exit with 4 when there are none
        #[arg(long)]
        fail_empty: bool,
    },
    /// Print the members of a cluster and every change, or run a command after each
    Watch {
        /// A name in the configuration, a name below /clusters, or a path
        cluster: String,
        /// Tell what changed after this index, instead of beginning with all members
        #[arg(long, value_name = "INDEX")]
        from: Option<String>,
        /// How long members that may have expired in an outage are kept [default: 90s with a command, else 0s]
        #[arg(long, value_name = "DURATION", value_parser = parse_duration, conflicts_with = "from")]
        grace: Option<Duration>,
        /// The command; it gets the members as JSON on stdin
        #[arg(last = true, value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// Register an entry, and keep it until a signal comes
    Register {
        #[command(flatten)]
        own: Own,
        /// Register once, and end; the entry lives for its time to live
        #[arg(long)]
        once: bool,
        /// Print the entry when it stands
        #[arg(long, short)]
        output: Option<Format>,
    },
    /// Remove a member from a cluster: its `run` stops and exits with 3
    Evict {
        /// A name in the configuration, a name below /clusters, or a path
        cluster: String,
        /// The member
        name: String,
    },
    /// Wait until a cluster has members
    Wait {
        /// A name in the configuration, a name below /clusters, or a path
        cluster: String,
        /// How many
        #[arg(long, default_value_t = 1)]
        min: usize,
        #[arg(long, short, default_value = "text")]
        output: Format,
    },
    /// Divide numbered work among instances: which indices are whose, as libcluster has them
    #[command(after_help = partition::HELP)]
    Partition(partition::PartitionArguments),
    /// Write the configured files once
    Render {
        /// A template and where to write it; `-` is stdout. Without any, the files of the configuration
        #[arg(value_name = "SRC:DEST", requires = "cluster")]
        files: Vec<String>,
        /// The clusters that the templates use
        #[arg(long, value_name = "CLUSTER", requires = "files")]
        cluster: Vec<String>,
        /// Print what would be written
        #[arg(long)]
        dry_run: bool,
    },
    /// Ask once whether something is healthy: tcp://HOST:PORT, http://…, or exec -- COMMAND
    Check {
        /// tcp://HOST:PORT, http://HOST:PORT/PATH, or `exec`
        target: String,
        /// The command, after `exec --`
        #[arg(last = true, value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// Drive this node of a cluster to where its leader tells it to go, and lead when it is its turn
    Schedule(Schedule),
    /// Run a command while holding a lock: at most one at a time, or a few
    Lock(exclusion::Lock),
    /// Run a command while leading: in one place of many
    Elect(exclusion::Elect),
    /// Look at the configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Print a script that completes this program's arguments
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a directory, or the main one to stdout
    Man {
        /// The directory
        directory: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check it without touching anything
    Check,
}

/// What is registered, where the configuration does not say it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub(crate) struct Own {
    /// The key to register
    #[arg(long, env = "CLUSTER_CONTROL_KEY", value_name = "PATH", conflicts_with_all = ["cluster", "id"])]
    pub(crate) key: Option<String>,
    /// The cluster to register in
    #[arg(long, value_name = "CLUSTER")]
    pub(crate) cluster: Option<String>,
    /// The name to register, usually host:port
    #[arg(long, value_name = "NAME", requires = "cluster")]
    pub(crate) id: Option<String>,
    /// The value to register
    #[arg(long, value_name = "TEXT")]
    pub(crate) value: Option<String>,
    /// How long the entry outlives its last renewal
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) ttl: Option<Duration>,
}

impl Own {
    /// True when everything is left to the configuration.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) own: Own,
    /// How long to wait for the registry before the child is started
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) start_timeout: Option<Duration>,
    /// The child and its arguments
    #[arg(last = true, required = true, value_name = "CHILD")]
    pub(crate) child: Vec<std::ffi::OsString>,
}
