//! The configuration: one file, in the original's JSON or in TOML.

mod hidden;
#[cfg(test)]
mod hostile;
mod interpolate;
mod original;
mod own;
mod probe;
mod unknown;
mod written;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use registry::{DEFAULT_GRACE, Dir, Key, RegisterOptions, Registry, SubscribeOptions};
use registry_handlers::{FileSpec, NotifySpec};

pub(crate) use probe::{HealthSpec, OnFail, ProbeSpec, ReadySpec, Target};
pub(crate) use written::ChildSpec;

use crate::arguments::{Global, Own};
use crate::exit::{Failure, NOT_FOUND, Outcome};

/// Where clusters without a path of their own live.
const CLUSTERS: &str = "/clusters";
/// A configuration is written by hand; what is larger is not one.
const MAX_SIZE: u64 = 1024 * 1024;

/// Everything that a configuration can say.
#[derive(Debug, Default)]
pub(crate) struct Configuration {
    pub(crate) registry: Option<String>,
    pub(crate) child: ChildSpec,
    pub(crate) own: Option<SelfSpec>,
    pub(crate) ready: Option<ReadySpec>,
    pub(crate) health: Option<HealthSpec>,
    pub(crate) watches: Vec<WatchSpec>,
    pub(crate) notifies: Vec<NotifySpec>,
    pub(crate) files: Vec<FileSpec>,
    /// Where it was read from.
    pub(crate) path: Option<PathBuf>,
}

/// What this process registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SelfSpec {
    pub(crate) key: Key,
    pub(crate) value: String,
    pub(crate) ttl: Option<Duration>,
    pub(crate) renew_every: Option<Duration>,
}

/// A cluster that is watched, under the name that files use for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WatchSpec {
    pub(crate) name: String,
    pub(crate) dir: Dir,
    /// How long members that may have expired in an outage are kept, where it says so.
    pub(crate) grace: Option<Duration>,
}

impl SelfSpec {
    pub(crate) fn options(&self) -> RegisterOptions {
        let mut options = RegisterOptions::new();
        options.ttl = self.ttl;
        options.renew_every = self.renew_every;
        options
    }
}

impl Configuration {
    /// Reads the file that was asked for, or the usual one where there is one.
    ///
    /// # Errors
    /// Code 78, naming the file, the line or key, and what to do.
    pub(crate) fn load(global: &Global) -> Outcome<Self> {
        let path = match &global.config {
            Some(path) => path.clone(),
            None => match usual() {
                Some(path) => path,
                None => return Ok(Self::default()),
            },
        };
        let wrong = |problem: String| Failure::configuration(format!("{}: {problem}", path.display()));
        let text = read(&path).map_err(wrong)?;
        let text = interpolate::interpolate(&text).map_err(wrong)?;
        let is_json = text.trim_start().starts_with('{');
        let mut configuration = if is_json { original::read(&text) } else { written::read(&text) }.map_err(wrong)?;
        configuration.check().map_err(wrong)?;
        configuration.path = Some(path);
        Ok(configuration)
    }

    /// What to register: what the command line says, else what the file says. Checked as far as can be known without asking
    /// the registry.
    pub(crate) fn own(&self, given: &Own, registry: &dyn Registry) -> Outcome<Option<SelfSpec>> {
        let own = own::merge(self.own.as_ref(), given).map_err(Failure::usage)?;
        let Some(own) = own else { return Ok(None) };
        let checked = own.options().check(&registry.capabilities(), &own.key, &own.value.clone().into());
        match (checked, &self.path) {
            (Ok(_), _) => Ok(Some(own)),
            (Err(error), Some(path)) if given.is_empty() => {
                Err(Failure::configuration(format!("{}: {error}", path.display())))
            }
            (Err(error), _) => Err(error.into()),
        }
    }

    /// What to register, for the commands that make no sense without.
    pub(crate) fn required_own(&self, registry: &dyn Registry) -> Outcome<SelfSpec> {
        self.own(&Own::default(), registry)?.ok_or_else(|| {
            Failure::configuration(match &self.path {
                Some(path) => format!("{}: it has no `self`: say which key is this container's", path.display()),
                None => "there is no configuration file: write cluster-control.conf, or name one with --conf".into(),
            })
        })
    }

    /// How a cluster is followed by whoever acts on the loss of a member. Others keep their entries as long as this process
    /// keeps its own, as far as anyone knows.
    pub(crate) fn subscribe_options(&self, watch: &WatchSpec) -> SubscribeOptions {
        SubscribeOptions::new().grace(self.grace(watch))
    }

    /// How long members that may have expired in an outage are kept; zero: not at all.
    pub(crate) fn grace(&self, watch: &WatchSpec) -> Duration {
        let longest = self.own.as_ref().and_then(|own| own.ttl).unwrap_or_default().max(DEFAULT_GRACE);
        watch.grace.unwrap_or(longest)
    }

    /// A cluster that the configuration names.
    pub(crate) fn watch(&self, name: &str) -> Outcome<&WatchSpec> {
        self.watches.iter().find(|watch| watch.name == name).ok_or_else(|| {
            let known: Vec<_> = self.watches.iter().map(|watch| watch.name.as_str()).collect();
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            Failure::new(NOT_FOUND, format!("the cluster {name:?} is not in the configuration; known are: {known}"))
        })
    }

    /// This cluster, and the others that are needed beside it.
    pub(crate) fn watches_with<'a>(
        &self,
        cluster: &'a str,
        others: impl IntoIterator<Item = &'a String>,
    ) -> Outcome<Vec<WatchSpec>> {
        let others = others.into_iter().map(String::as_str).filter(|name| *name != cluster);
        std::iter::once(cluster).chain(others).map(|name| self.watch(name).cloned()).collect()
    }

    /// The directory of a cluster: one of the configuration, one below `/clusters`, or a path.
    pub(crate) fn dir(&self, cluster: &str) -> Outcome<Dir> {
        match self.watches.iter().find(|watch| watch.name == cluster) {
            Some(watch) => Ok(watch.dir.clone()),
            None => cluster_dir(cluster).map_err(Failure::usage),
        }
    }

    /// The key of a member of a cluster.
    pub(crate) fn member(&self, cluster: &str, name: &str) -> Outcome<Key> {
        own::member(&self.dir(cluster)?, name).map_err(Failure::usage)
    }

    /// The files that show this cluster.
    pub(crate) fn files_of(&self, cluster: &str) -> Vec<FileSpec> {
        self.files.iter().filter(|file| file.watch.iter().any(|name| name == cluster)).cloned().collect()
    }

    fn check(&self) -> Result<(), String> {
        for (number, watch) in self.watches.iter().enumerate() {
            if self.watches[..number].iter().any(|other| other.name == watch.name) {
                return Err(format!("two clusters have the name {:?}", watch.name));
            }
        }
        for file in &self.files {
            let known = |name: &&String| !self.watches.iter().any(|watch| watch.name == **name);
            if let Some(name) = file.watch.iter().find(known) {
                return Err(format!(
                    "the file {} wants the cluster {name:?}, which is not watched",
                    file.dest.display()
                ));
            }
        }
        Ok(())
    }
}

/// What a parser says, for a person: with what was probably meant, and without what may be a secret.
fn explained(message: &str) -> String {
    unknown::with_nearest(&hidden::without_value(message))
}

/// A cluster's directory by its name or path.
fn cluster_dir(cluster: &str) -> Result<Dir, String> {
    let path = if cluster.starts_with('/') { cluster.to_owned() } else { format!("{CLUSTERS}/{cluster}") };
    Dir::new(&path).map_err(|error| error.to_string())
}

fn check_times(ttl: Duration, heartbeat: Duration) -> Result<(), String> {
    if ttl.is_zero() || heartbeat.is_zero() {
        return Err("self.ttl and self.heartbeat must be longer than nothing".into());
    }
    if ttl <= heartbeat {
        return Err(format!(
            "self.ttl ({ttl:?}) must be longer than self.heartbeat ({heartbeat:?}), or the entry expires between two heartbeats"
        ));
    }
    Ok(())
}

fn usual() -> Option<PathBuf> {
    ["cluster-control.conf", "cluster-control.toml", "/etc/cluster-control/cluster-control.toml"]
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
}

fn read(path: &Path) -> Result<String, String> {
    let about = fs::metadata(path).map_err(|error| format!("cannot read it: {error}"))?;
    if !about.is_file() {
        return Err("this is not a file".into());
    }
    if about.len() > MAX_SIZE {
        return Err(format!("it has {} bytes; a configuration has at most {MAX_SIZE}", about.len()));
    }
    let bytes = fs::read(path).map_err(|error| format!("cannot read it: {error}"))?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.split(|byte| *byte == b'\n').count();
        format!("line {line}: this is not UTF-8")
    })
}
