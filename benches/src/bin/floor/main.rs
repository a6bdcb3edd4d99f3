//! The floor: the least that following a directory into a file can cost on the raw client of a store.
//!
//! One thread, no retries, no limits, no checks: what ends it, ends it. It writes what the program writes for a file of the
//! kind `json` and the shape `map`, with the same steps: a new file, its fsync, its rename. What the program promises beyond that
//! can be added, to see what the promises cost.

mod consul;
mod etcd_v2;
mod etcd_v3;
mod members;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use members::{Members, Output, Target};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// Follows a directory into a file.
#[derive(Parser)]
struct Arguments {
    store: Store,
    /// Such as `http://127.0.0.1:2379`.
    url: String,
    /// The directory's path, such as `/clusters/web`.
    directory: String,
    /// The file; `-` prints each change instead, and keeps nothing.
    file: String,
    /// Waits until the disk has the file before it is put in place.
    #[arg(long)]
    fsync: bool,
    /// And then until the disk knows that it is in place.
    #[arg(long)]
    lasting: bool,
    /// Writes on another thread, so that this one never waits for the disk.
    #[arg(long)]
    aside: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Store {
    EtcdV3,
    EtcdV2,
    Consul,
}

fn main() -> ExitCode {
    let Arguments { store, url, directory, file, fsync, lasting, aside } = Arguments::parse();
    // Without one the HTTP client refuses to be built, though it speaks no TLS here. Only a second one would be refused.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let followed = runtime.map_err(Into::into).and_then(|runtime| {
        let output = match file.as_str() {
            "-" => Output::Changes,
            file => Output::File(Target { file: file.into(), fsync, lasting, aside }),
        };
        let members = Members::new(output);
        match store {
            Store::EtcdV3 => runtime.block_on(etcd_v3::follow(&url, &directory, members)),
            Store::EtcdV2 => runtime.block_on(etcd_v2::follow(&url, &directory, members)),
            Store::Consul => runtime.block_on(consul::follow(&url, &directory, members)),
        }
    });
    match followed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("floor: {error}");
            ExitCode::FAILURE
        }
    }
}
