//! The layouts that others write.

use registry_core::{Bytes, Entry, Name, Result};

use super::codec::{Codec, broken, text};
use super::host::shown;
use super::{DEFAULT_WEIGHT, Health, Instance};

/// The name of the entry is the address: `10.0.0.7:80`. The value is not looked at when reading, and empty when writing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameIsAddress {
    default_port: Option<u16>,
}

/// The value of the entry is the address; the name is any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ValueIsAddress {
    default_port: Option<u16>,
}

/// The value of the entry is a whole number in decimal digits, such as how many workers a member has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ValueIsCount;

impl NameIsAddress {
    /// The port of an address that has none. Without this, such an address is an error.
    pub fn default_port(port: u16) -> Self {
        Self { default_port: Some(port) }
    }
}

impl ValueIsAddress {
    /// The port of an address that has none. Without this, such an address is an error.
    pub fn default_port(port: u16) -> Self {
        Self { default_port: Some(port) }
    }
}

impl Codec for NameIsAddress {
    type Item = Instance;

    fn decode(&self, entry: &Entry) -> Result<Instance> {
        Instance::parse(entry.name.as_str(), self.default_port).map_err(|error| broken(&entry.name, error))
    }

    fn encode(&self, name: &Name, item: &Instance) -> Result<Bytes> {
        check_plain(name, item)?;
        match Instance::parse(name.as_str(), self.default_port) {
            Ok(meant) if meant == *item => Ok(Bytes::new()),
            _ => Err(broken(name, format!("in this layout the name is the address, {}", item.authority()))),
        }
    }
}

impl Codec for ValueIsAddress {
    type Item = Instance;

    fn decode(&self, entry: &Entry) -> Result<Instance> {
        // Shells end what they write with a line feed.
        let text = text(entry)?.trim_ascii();
        Instance::parse(text, self.default_port).map_err(|error| broken(&entry.name, error))
    }

    fn encode(&self, name: &Name, item: &Instance) -> Result<Bytes> {
        check_plain(name, item).map(|()| item.authority().into())
    }
}

impl Codec for ValueIsCount {
    type Item = u32;

    fn decode(&self, entry: &Entry) -> Result<u32> {
        let text = text(entry)?.trim_ascii();
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let count = digits.then(|| text.parse().ok()).flatten();
        let range = || format!("its value {:?} is not a whole number up to {}", shown(text), u32::MAX);
        count.ok_or_else(|| broken(&entry.name, range()))
    }

    fn encode(&self, _: &Name, item: &u32) -> Result<Bytes> {
        Ok(item.to_string().into())
    }
}

/// Nothing is lost silently: an address is all that these layouts hold.
fn check_plain(name: &Name, item: &Instance) -> Result<()> {
    item.check().map_err(|error| broken(name, error))?;
    let plain = item.ports.is_empty()
        && item.tags.is_empty()
        && item.metadata.is_empty()
        && item.weight == DEFAULT_WEIGHT
        && item.health == Health::Healthy;
    if plain { Ok(()) } else { Err(broken(name, "in this layout there is room for an address and nothing else")) }
}
