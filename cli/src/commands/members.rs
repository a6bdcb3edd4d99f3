//! `members`: who is in a cluster.

use std::time::Duration;

use registry::{Scope, Snapshot};
use serde_json::json;

use crate::arguments::Format;
use crate::connecting::Session;
use crate::exit::{NOT_FOUND, OK, Outcome};
use crate::output::print;
use crate::patience::patiently;
use crate::shown;

const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn run(session: Session, cluster: &str, output: Format, fail_empty: bool) -> Outcome {
    let scope = Scope::from(session.configuration.dir(cluster)?);
    let registry = &*session.registry;
    let snapshot = patiently(registry, session.patience(PATIENCE), || registry.list(&scope)).await?;
    print_members(&snapshot, output)?;
    Ok(if fail_empty && shown::members(&snapshot).next().is_none() { NOT_FOUND } else { OK })
}

/// Prints the members in the wanted form.
pub(super) fn print_members(snapshot: &Snapshot, output: Format) -> Outcome<()> {
    let members = shown::members(snapshot);
    let mut lines: Vec<String> = match output {
        Format::Text => members.map(|entry| entry.name.to_string()).collect(),
        Format::Ndjson => members.map(|entry| shown::entry(entry).to_string()).collect(),
        Format::Json => {
            let members: Vec<_> = members.map(shown::entry).collect();
            vec![json!({ "schema": 1, "index": snapshot.index.position(), "members": members }).to_string()]
        }
    };
    // All at once: ten thousand writes take longer than the list.
    lines.push(String::new());
    print(&lines.join("\n"))
}
