//! What a member says about itself.

mod codec;
mod foreign;
mod host;
mod json;

use std::collections::{BTreeMap, BTreeSet};

use registry_core::{Error, Result};

pub use codec::{Codec, Raw};
pub use foreign::{NameIsAddress, ValueIsAddress, ValueIsCount};
pub use json::Json;

/// The weight of an instance that names none.
pub const DEFAULT_WEIGHT: u16 = 100;
/// The most named ports, tags, and metadata that an instance has, each.
pub const MAX_ITEMS: usize = 64;
/// The longest name of a port, tag, or key of metadata, in bytes.
pub const MAX_LABEL: usize = 255;
/// The longest value of metadata, in bytes.
pub const MAX_TEXT: usize = 4096;

/// A member of a cluster: where it is reached, and what a client should know before it goes there.
///
/// What a [`Codec`] returns has been checked. What is made by hand is checked when it is encoded, or by
/// [`check`](Instance::check).
///
/// ```
/// use registry::Instance;
/// let instance = Instance::new("10.0.0.7", 80)?.port("metrics", 9100).tag("blue").metadata("version", "1.4");
/// assert_eq!(instance.authority(), "10.0.0.7:80");
/// assert_eq!(instance.authority_of("metrics").as_deref(), Some("10.0.0.7:9100"));
/// # Ok::<(), registry::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Instance {
    /// An IP address (version 6 without brackets) or a host name.
    pub address: String,
    /// The port of the service itself; never 0.
    pub port: u16,
    /// Further ports, by name; none is 0.
    pub ports: BTreeMap<String, u16>,
    /// Its share of the load in proportion to the others; [`DEFAULT_WEIGHT`] unless said otherwise, 0 for none.
    pub weight: u16,
    /// How it is, in its own opinion.
    pub health: Health,
    /// Words to choose by.
    pub tags: BTreeSet<String>,
    /// Anything else.
    pub metadata: BTreeMap<String, String>,
}

/// How an instance is, in its own opinion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Health {
    /// It takes work.
    #[default]
    Healthy,
    /// It finishes what it has, and should get nothing new.
    Draining,
    /// It cannot work.
    Unhealthy,
}

impl Instance {
    /// A healthy instance with the default weight.
    ///
    /// # Errors
    /// `InvalidInput` when the address is no IP address and no host name, or the port is 0.
    pub fn new(address: impl Into<String>, port: u16) -> Result<Self> {
        let instance = Self {
            address: address.into(),
            port,
            ports: BTreeMap::new(),
            weight: DEFAULT_WEIGHT,
            health: Health::Healthy,
            tags: BTreeSet::new(),
            metadata: BTreeMap::new(),
        };
        instance.check().map(|()| instance)
    }

    /// Reads `host:port`, `[ipv6]:port`, or a host alone when there is a default port.
    ///
    /// # Errors
    /// `InvalidInput`, saying what is wrong with it.
    pub fn parse(authority: &str, default_port: Option<u16>) -> Result<Self> {
        let (address, port) = host::split(authority, default_port)?;
        Self::new(address, port)
    }

    /// Adds a named port, or changes it.
    pub fn port(mut self, name: impl Into<String>, port: u16) -> Self {
        self.ports.insert(name.into(), port);
        self
    }

    /// Sets the weight.
    pub fn weight(mut self, weight: u16) -> Self {
        self.weight = weight;
        self
    }

    /// Sets the health.
    pub fn health(mut self, health: Health) -> Self {
        self.health = health;
        self
    }

    /// Adds a tag.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.insert(tag.into());
        self
    }

    /// Adds metadata, or changes it.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Where the service is reached: `host:port`, with brackets around an IP address of version 6.
    pub fn authority(&self) -> String {
        host::join(&self.address, self.port)
    }

    /// Where one of the named ports is reached.
    pub fn authority_of(&self, port: &str) -> Option<String> {
        self.ports.get(port).map(|port| host::join(&self.address, *port))
    }

    /// True when a client may send it new work: it is healthy and has a weight.
    pub fn takes_work(&self) -> bool {
        self.health == Health::Healthy && self.weight > 0
    }

    /// Checks every field against what an instance may hold.
    ///
    /// # Errors
    /// `InvalidInput`, naming the field and the rule that it breaks.
    pub fn check(&self) -> Result<()> {
        host::check(&self.address)?;
        check_count("ports", self.ports.len())?;
        check_count("tags", self.tags.len())?;
        check_count("metadata", self.metadata.len())?;
        if self.port == 0 {
            return Err(invalid("the port is 0"));
        }
        for (name, port) in &self.ports {
            check_label("a port's name", name)?;
            if *port == 0 {
                return Err(invalid(format!("the port {name:?} is 0")));
            }
        }
        self.tags.iter().try_for_each(|tag| check_label("a tag", tag))?;
        for (key, value) in &self.metadata {
            check_label("a key of the metadata", key)?;
            check_text(&format!("the metadata {key:?}"), value, MAX_TEXT)?;
        }
        Ok(())
    }
}

fn check_count(what: &str, count: usize) -> Result<()> {
    if count > MAX_ITEMS {
        return Err(invalid(format!("it has {count} {what}, and {MAX_ITEMS} are allowed")));
    }
    Ok(())
}

fn check_label(what: &str, label: &str) -> Result<()> {
    if label.is_empty() {
        return Err(invalid(format!("{what} is empty")));
    }
    check_text(what, label, MAX_LABEL)
}

fn check_text(what: &str, text: &str, most: usize) -> Result<()> {
    if text.len() > most {
        return Err(invalid(format!("{what} has {} bytes, and {most} are allowed", text.len())));
    }
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(invalid(format!("{what} holds the control character {c:?}"))),
        None => Ok(()),
    }
}

fn invalid(what: impl Into<String>) -> Error {
    Error::invalid_input(what)
}
