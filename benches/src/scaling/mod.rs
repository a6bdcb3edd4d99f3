//! What so many members cost an etcd cluster: computed from what one request costs, and simulated where sums do not do.
//!
//! `bench costs` measures the unit costs on a real server; `bench scale` prints the tables of `docs/scaling.md` from them.

mod account;
mod costs;
mod demand;
mod herd;
mod measure;
mod proxy;
mod shape;
mod table;

use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::harness::document;

pub(crate) use costs::Figures;

const BEGIN: &str = "<!-- the tables of `bench scale` begin -->";
const END: &str = "<!-- the tables of `bench scale` end -->";

/// Measures what one request costs a real etcd.
#[derive(clap::Args)]
pub(crate) struct MeasureCosts {
    /// The file of figures whose `[cost]` is replaced; without it, it is printed.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// A tenth of the requests.
    #[arg(long)]
    quick: bool,
}

/// Compares watchers of etcd with watchers of its own proxy.
#[derive(clap::Args)]
pub(crate) struct CompareProxy {
    /// A tenth of the watchers and changes.
    #[arg(long)]
    quick: bool,
}

/// Prints what so many members cost.
#[derive(clap::Args)]
pub(crate) struct Scale {
    /// The costs, the limits of a server, and what the members do.
    #[arg(long, value_name = "FILE", default_value = "benches/figures.toml")]
    figures: PathBuf,
    /// How many members there are.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 100_000, 10_000_000])]
    members: Vec<u64>,
    /// Puts the tables into this file, between its two marker lines.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

pub(crate) async fn costs(options: MeasureCosts) -> Result<()> {
    let cost = Box::pin(measure::costs(options.quick)).await?;
    match options.save {
        None => print!("{}", toml::to_string(&cost)?),
        Some(file) => {
            let figures = Figures { cost, ..read(&file)? };
            fs::write(&file, figures.to_text()?)?;
        }
    }
    Ok(())
}

pub(crate) async fn proxy(options: CompareProxy) -> Result<()> {
    proxy::compare(options.quick).await
}

pub(crate) fn scale(options: &Scale) -> Result<()> {
    let tables = table::tables(&read(&options.figures)?, &options.members);
    match &options.markdown {
        None => print!("{tables}"),
        Some(file) => document::insert(file, (BEGIN, END), &tables)?,
    }
    Ok(())
}

fn read(file: &Path) -> Result<Figures> {
    let named = |error: String| format!("{}: {error}", file.display());
    let text = fs::read_to_string(file).map_err(|error| named(error.to_string()))?;
    Ok(Figures::parse(&text).map_err(|error| named(error.to_string()))?)
}
