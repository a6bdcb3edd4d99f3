//! `bench`: what the program and the library cost, beside the least that the same work can cost.

mod bench;
mod contestants;
mod harness;
mod rows;
mod scaling;
mod stores;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use bench::Bench;
use contestants::read_peers;
use harness::{Report, compare};
use rows::Row;
use stores::Kind;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T, E = Error> = std::result::Result<T, E>;

/// Measures the program and the library on real servers, and beside them the floor: minimal programs on the raw clients.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures, and prints a report.
    Run(Run),
    /// Measures what one request costs a real etcd.
    Costs(scaling::MeasureCosts),
    /// Compares watchers of etcd with watchers of its own proxy.
    Proxy(scaling::CompareProxy),
    /// Prints what so many members cost an etcd cluster.
    Scale(scaling::Scale),
}

#[derive(clap::Args)]
struct Run {
    /// A minute's worth: fewer rounds, fewer sizes, no Consul.
    #[arg(long)]
    quick: bool,
    /// Only these rows, one after the other.
    #[arg(long, value_name = "ROW", value_delimiter = ',')]
    only: Vec<Row>,
    /// Only these stores, in the rows that go through all of them.
    #[arg(long, value_name = "STORE", value_delimiter = ',')]
    on: Vec<Kind>,
    /// Compares the ratios with those of an earlier report.
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Writes the report as JSON, for `--compare`.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Puts the tables into this file, between its two marker lines.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Other tools to be measured beside ours: docs/performance.md says how the file is written.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    #[command(flatten)]
    programs: bench::Programs,
}

fn main() -> ExitCode {
    // The HTTP clients take what is the default of the process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let command = Arguments::parse().command;
    let done =
        tokio::runtime::Runtime::new().map_err(Error::from).and_then(|runtime| runtime.block_on(execute(command)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn execute(command: Command) -> Result<()> {
    match command {
        Command::Run(run) => measure(run).await,
        Command::Costs(options) => Box::pin(scaling::costs(options)).await,
        Command::Proxy(options) => Box::pin(scaling::proxy(options)).await,
        Command::Scale(options) => scaling::scale(&options),
    }
}

async fn measure(run: Run) -> Result<()> {
    let before = run.compare.as_deref().map(Report::read).transpose()?;
    let peers = run.against.as_deref().map(read_peers).transpose()?.unwrap_or_default();
    let bench = Bench::new(run.programs, run.quick, run.on, peers)?;
    let rows = if run.only.is_empty() { Row::all() } else { run.only };
    let mut report = Report::begin(run.quick);
    for row in rows {
        eprintln!("bench: {row}");
        let section = row.measure(&bench).await?;
        println!("{}", section.text());
        report.sections.push(section);
    }
    report.conclude(&bench.noise(), bench.servers());
    println!("{}", report.machine);
    if let Some(before) = before {
        print!("{}", compare::compare(&before, &report));
    }
    if let Some(file) = run.save {
        report.write(&file)?;
    }
    if let Some(file) = run.markdown {
        report.insert(&file)?;
    }
    Ok(())
}
