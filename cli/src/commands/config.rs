//! `config check`: everything that can be known without a registry.

use crate::arguments::{Global, Own};
use crate::configuration::Configuration;
use crate::connecting::connect;
use crate::exit::{Failure, OK, Outcome};
use crate::output::print_line;
use crate::run::files;

pub(super) fn check(global: &Global) -> Outcome {
    let configuration = Configuration::load(global)?;
    let Some(path) = &configuration.path else {
        return Err(Failure::configuration("there is no configuration file here; name one with --config"));
    };
    let (registry, _) = connect(global, &configuration)?;
    configuration.own(&Own::default(), &*registry)?;
    // A signal needs a child, which only `run` has; here it is enough that there could be one.
    let setup = files::setup(&configuration, Some(std::sync::Arc::new(|_| Ok(()))))?;
    files::check(&configuration, &configuration.files, &configuration.notifies, setup)?;
    print_line(&format!("{}: ok, on {}", path.display(), registry.info()))?;
    Ok(OK)
}
