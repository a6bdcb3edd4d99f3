//! One file for each command.

mod check;
mod clusterprepare;
mod clusterwatch;
mod config;
mod documentation;
mod evict;
pub(crate) mod exclusion;
mod heartbeat;
mod members;
pub(crate) mod partition;
mod register;
mod removekey;
mod render;
mod schedule;
mod wait;
mod watch;
mod watchkey;

use tracing::level_filters::LevelFilter;

use crate::arguments::{Arguments, Command, ConfigCommand};
use crate::connecting::Session;
use crate::exit::Outcome;
use crate::run;
use crate::signals::survive_file_size_limit;

pub(crate) use schedule::Schedule;

/// What runs for long says what happens; what answers a question says only what is wrong.
pub(crate) fn usual_level(command: &Command) -> LevelFilter {
    match command {
        Command::Run(_) | Command::Heartbeat { .. } | Command::Clusterwatch { .. } | Command::Register { .. } => {
            LevelFilter::INFO
        }
        Command::Schedule(arguments) if !arguments.observe => LevelFilter::INFO,
        Command::Partition(partition) if !partition.command.is_empty() => LevelFilter::INFO,
        _ => LevelFilter::WARN,
    }
}

/// Does what was asked for, and returns the exit code.
pub(crate) async fn run(arguments: Arguments) -> Outcome {
    survive_file_size_limit()?;
    let Arguments { global, command } = arguments;
    let open = || Session::open(global.clone());
    match command {
        Command::Run(arguments) => run::run(global, arguments).await,
        Command::Heartbeat { once } => heartbeat::run(open()?, once).await,
        Command::Watchkey => watchkey::run(open()?).await,
        Command::Removekey => removekey::run(open()?).await,
        Command::Clusterprepare { cluster, cluster_option } => {
            clusterprepare::run(open()?, &cluster.or(cluster_option).unwrap_or_default()).await
        }
        Command::Clusterwatch { cluster_option, index_option, words } => {
            clusterwatch::run(open()?, clusterwatch::Words::sort(cluster_option, index_option, words)?).await
        }
        Command::Members { cluster, output, fail_empty } => members::run(open()?, &cluster, output, fail_empty).await,
        Command::Watch { cluster, from, grace, command } => {
            watch::run(open()?, &cluster, from.as_deref(), grace, command).await
        }
        Command::Register { own, once, output } => register::run(open()?, &own, once, output).await,
        Command::Evict { cluster, name } => evict::run(open()?, &cluster, &name).await,
        Command::Wait { cluster, min, output } => wait::run(open()?, &cluster, min, output).await,
        Command::Partition(arguments) => partition::run(global, arguments).await,
        Command::Render { files, cluster, dry_run } => render::run(open()?, &files, &cluster, dry_run).await,
        Command::Check { target, command } => check::run(&global, &target, command).await,
        Command::Schedule(arguments) => schedule::run(open()?, arguments).await,
        Command::Lock(arguments) => exclusion::lock(open()?, arguments).await,
        Command::Elect(arguments) => exclusion::elect(open()?, arguments).await,
        Command::Config { command: ConfigCommand::Check } => config::check(&global),
        Command::Completions { shell } => documentation::completions(shell),
        Command::Man { directory } => documentation::manual(directory.as_deref()),
    }
}
