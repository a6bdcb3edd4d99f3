//! Which registry is meant.

use std::sync::Arc;
use std::time::Duration;

use processes::Processes;
use registry::{Environment, Registry};

use crate::arguments::Global;
use crate::configuration::Configuration;
use crate::exit::{Failure, Outcome};
use crate::withheld;

/// What every command works with.
pub(crate) struct Session {
    pub(crate) global: Global,
    pub(crate) configuration: Configuration,
    pub(crate) registry: Arc<dyn Registry>,
}

impl Session {
    /// Reads the configuration and opens the registry. Asks no server yet.
    pub(crate) fn open(global: Global) -> Outcome<Self> {
        let configuration = Configuration::load(&global)?;
        let registry = connect(&global, &configuration)?;
        Ok(Self { global, configuration, registry })
    }

    /// What starts commands: without the secrets of the registry.
    pub(crate) fn processes(&self) -> Outcome<Processes> {
        withheld::processes(&self.configuration)
    }

    /// How long to wait for the registry.
    pub(crate) fn patience(&self, usual: Duration) -> Duration {
        self.global.timeout.unwrap_or(usual)
    }
}

/// The command line (or its variable), then the variables of the registry's own tools, then the file, then the embedded
/// store of this user.
pub(crate) fn connect(global: &Global, configuration: &Configuration) -> Outcome<Arc<dyn Registry>> {
    let environment = Environment::of_process()?;
    let configured = configuration.registry.as_deref();
    let named = match &global.registry {
        Some(url) => Some(url.clone()),
        None => environment.url(configured)?,
    };
    let url = named.as_deref().or(configured).unwrap_or("sqlite:");
    withheld::check_registry(url, global.registry.is_some())?;
    match (named, configured, &configuration.path) {
        (None, Some(url), Some(path)) => {
            registry::connect_in(url, &environment).map_err(|error| Failure::from(error).of(path))
        }
        (named, ..) => Ok(registry::connect_in(named.as_deref().unwrap_or("sqlite:"), &environment)?),
    }
}
