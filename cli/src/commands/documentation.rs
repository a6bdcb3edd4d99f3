//! Completions and manual pages, from the definitions that the parser uses.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::exit::{ERROR, Failure, OK, Outcome};
use crate::output::print;

pub(super) fn completions(shell: Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "cluster-control", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(OK)
}

pub(super) fn manual(directory: Option<&Path>) -> Outcome {
    let command = Arguments::command();
    let wrong = |error: std::io::Error| Failure::new(ERROR, format!("cannot write the manual: {error}"));
    if let Some(directory) = directory {
        clap_mangen::generate_to(command, directory).map_err(wrong)?;
        return Ok(OK);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).map_err(wrong)?;
    print(&String::from_utf8_lossy(&page))?;
    Ok(OK)
}
