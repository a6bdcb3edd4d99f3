//! A user of the library: subscribes to a directory and prints each change, and nothing else.

use std::io::{self, Write as _};
use std::process::ExitCode;

use registry::{Change, Dir, Entry, Event, RegistryExt};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(subscribe())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("subscriber: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn subscribe() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(directory)) = (arguments.next(), arguments.next()) else {
        return Err("usage: subscriber URL DIRECTORY".into());
    };
    let registry = registry::connect(&url)?;
    let mut events = registry.subscribe(&Dir::new(&directory)?);
    while let Some(event) = events.next().await {
        match event? {
            Event::Snapshot { snapshot, .. } => {
                for entry in snapshot.entries {
                    print(&entry)?;
                }
            }
            Event::Changes(batch) => {
                for change in batch.changes {
                    match change {
                        Change::Put(entry) => print(&entry)?,
                        Change::Remove { name, .. } => writeln!(io::stdout(), "{name}")?,
                    }
                }
            }
            Event::Interrupted { .. } | Event::Resumed { .. } => {}
        }
    }
    Ok(())
}

fn print(entry: &Entry) -> io::Result<()> {
    writeln!(io::stdout(), "{} {}", entry.name, String::from_utf8_lossy(&entry.value))
}
