//! Which registry is meant.

use std::sync::Arc;
use std::time::Duration;

use registry::{Environment, Registry};

use crate::arguments::Global;
use crate::configuration::Configuration;
use crate::exit::{Failure, Outcome};
use crate::following::Memory;

/// What every command works with.
pub(crate) struct Session {
    pub(crate) global: Global,
    pub(crate) configuration: Configuration,
    pub(crate) registry: Arc<dyn Registry>,
    /// What is known of this registry from earlier runs.
    pub(crate) memory: Memory,
}

impl Session {
    /// Reads the configuration and opens the registry. Asks no server yet.
    pub(crate) fn open(global: Global) -> Outcome<Self> {
        let configuration = Configuration::load(&global)?;
        let (registry, memory) = connect(&global, &configuration)?;
        Ok(Self { global, configuration, registry, memory })
    }

    /// How long to wait for the registry.
    pub(crate) fn patience(&self, usual: Duration) -> Duration {
        self.global.timeout.unwrap_or(usual)
    }
}

/// The command line (or its variable), then the variables of the registry's own tools, then the file, then the embedded
/// store of this user.
pub(crate) fn connect(global: &Global, configuration: &Configuration) -> Outcome<(Arc<dyn Registry>, Memory)> {
    let environment = Environment::of_process()?;
    let configured = configuration.registry.as_deref();
    let named = match &global.registry {
        Some(url) => Some(url.clone()),
        None => environment.url(configured)?,
    };
    let url = named.as_deref().or(configured).unwrap_or("sqlite:");
    let registry = registry::connect_in(url, &environment).map_err(|error| match &configuration.path {
        Some(path) if named.is_none() && configured.is_some() => Failure::from(error).of(path),
        _ => Failure::from(error),
    })?;
    // A fixed list is as it is.
    let memory = if registry.capabilities().register { Memory::of(url) } else { Memory::none() };
    Ok((registry, memory))
}
