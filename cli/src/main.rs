//! The command line of Cluster Control.

mod arguments;
mod aside;
mod commands;
mod configuration;
mod connecting;
mod exit;
mod following;
mod holding;
mod limits;
mod logging;
mod output;
mod ownership;
mod patience;
mod probing;
mod releasing;
mod run;
mod runtime;
mod shown;
mod signals;
mod stderr;
mod withheld;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are data; whether anybody reads them is not our business.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::OK });
        }
    };
    logging::start(&arguments.global, commands::usual_level(&arguments.command));
    if let Err(failure) = limits::check() {
        return failed(&failure);
    }
    // Whoever hears of a change and whoever acts on it are on one thread: to wake another one costs more than most of what there
    // is to do. What may block (files, results that nobody reads) is done on threads of its own.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&exit::Failure::new(exit::ERROR, format!("cannot start: {error}"))),
    };
    let code = match runtime.block_on(commands::run(arguments)) {
        Ok(code) => ExitCode::from(code),
        // Nobody reads the results any more, which is no error.
        Err(failure) if failure.code == exit::OK => ExitCode::from(exit::OK),
        Err(failure) => failed(&failure),
    };
    // A call into a store that hangs must not keep the container from stopping.
    runtime.shutdown_background();
    code
}

/// Says why on stderr; that nobody reads it there changes nothing about the code.
fn failed(failure: &exit::Failure) -> ExitCode {
    let _ = stderr::Stderr.write_all(format!("cluster-control: {failure}\n").as_bytes());
    ExitCode::from(failure.code)
}
