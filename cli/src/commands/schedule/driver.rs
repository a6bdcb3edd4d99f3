//! The steps as commands.

use std::io::Write;
use std::time::Duration;

use processes::{Command, Input, Output, Processes};
use registry::async_trait;
use registry_recipes::scheduler::{Context, Driver, DriverError, Joined, Member};
use serde_json::{Value, json};

use super::arguments::Schedule;
use crate::exit::{Failure, Outcome};
use crate::stderr::Stderr;

/// How much of what a command writes is passed on.
const OUTPUT: usize = 64 * 1024;
/// The longest list of members that is put into the environment, which the system limits; stdin always has it.
const MEMBERS: usize = 64 * 1024;
/// A `--join` that ends with this has found the node to be part of the cluster already.
const ALREADY: i32 = 10;

/// Runs a command for each step; a step without one is done at once.
pub(super) struct Commands {
    processes: Processes,
    limit: Duration,
    join: Vec<String>,
    recover: Vec<String>,
    rebalance: Vec<String>,
    failover: Vec<String>,
}

impl Commands {
    pub(super) fn new(given: &Schedule, processes: Processes) -> Outcome<Self> {
        let commands = [&given.join, &given.recover, &given.rebalance, &given.failover];
        if commands.iter().all(|command| command.is_none()) {
            return Err(Failure::usage("say what to do: --join, --rebalance and --failover, or --couchbase"));
        }
        let split = |name: &str, command: &Option<String>| match command {
            None => Ok(Vec::new()),
            Some(line) => match line.split_whitespace().map(str::to_owned).collect::<Vec<_>>() {
                words if words.is_empty() => Err(Failure::usage(format!("--{name}: the command is empty"))),
                words => Ok(words),
            },
        };
        Ok(Self {
            join: split("join", &given.join)?,
            recover: split("recover", &given.recover)?,
            rebalance: split("rebalance", &given.rebalance)?,
            failover: split("failover", &given.failover)?,
            limit: given.command_timeout,
            processes,
        })
    }

    /// Runs a command to its end, and returns its exit code if that is 0 or the one that is expected besides.
    async fn run(&self, argv: &[String], context: &Context, besides: Option<i32>) -> Result<i32, DriverError> {
        let Some((program, arguments)) = argv.split_first() else { return Ok(0) };
        let members = Value::from(context.members.iter().map(shown).collect::<Vec<_>>()).to_string();
        let mut command = Command::new(program)
            .args(arguments)
            .env("CLUSTER_CONTROL_SESSION", &context.node.session)
            .env("CLUSTER_CONTROL_ADDRESS", &context.node.address)
            .env("CLUSTER_CONTROL_MASTER_ADDRESS", &context.master.address)
            .env("CLUSTER_CONTROL_IS_MASTER", context.is_master().to_string())
            .stdout(Output::Capture { limit: OUTPUT });
        command = if members.len() <= MEMBERS {
            command.env("CLUSTER_CONTROL_MEMBERS", &members)
        } else {
            command.remove_env("CLUSTER_CONTROL_MEMBERS")
        };
        let command = command.stdin(Input::Bytes(members.into_bytes()));
        let run = self.processes.run_to_end(command, self.limit).await;
        let outcome = run.map_err(|error| DriverError::new(error.to_string()))?;
        // stdout is for data, and this is none. Whether anybody reads stderr is not our business.
        let _ = Stderr.write_all(outcome.stdout.text().as_bytes());
        let code = outcome.status.exit_code();
        if outcome.timed_out {
            return Err(DriverError::new(format!("{program} took longer than {:?}", self.limit)));
        }
        if outcome.success() || besides == Some(code) {
            return Ok(code);
        }
        Err(DriverError::new(format!("{program}: {}", outcome.status)))
    }
}

fn shown(member: &Member) -> Value {
    json!({ "session": member.session, "address": member.address, "state": member.state.as_str() })
}

#[async_trait]
impl Driver for Commands {
    async fn join(&self, context: &Context) -> Result<Joined, DriverError> {
        let code = self.run(&self.join, context, Some(ALREADY)).await?;
        Ok(if code == ALREADY { Joined::Already } else { Joined::Anew })
    }

    async fn recover(&self, context: &Context) -> Result<(), DriverError> {
        self.run(&self.recover, context, None).await.map(drop)
    }

    async fn rebalance(&self, context: &Context) -> Result<(), DriverError> {
        self.run(&self.rebalance, context, None).await.map(drop)
    }

    async fn failover(&self, context: &Context) -> Result<(), DriverError> {
        self.run(&self.failover, context, None).await.map(drop)
    }
}
