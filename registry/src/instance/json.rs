//! An instance as JSON, the layout of this library.

use std::collections::{BTreeMap, BTreeSet};

use registry_core::{Bytes, Entry, Name, Result};
use serde::{Deserialize, Serialize};

use super::codec::{Codec, broken, check_size, text};
use super::{DEFAULT_WEIGHT, Health, Instance};

/// The value is JSON: `{"address":"10.0.0.7","port":80}`, and where they differ from the default `ports`, `weight`,
/// `health` (`healthy`, `draining`, `unhealthy`), `tags` and `metadata`. Fields that are not known are left alone.
///
/// Equal instances make equal bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json;

impl Codec for Json {
    type Item = Instance;

    fn decode(&self, entry: &Entry) -> Result<Instance> {
        let wire: Wire = serde_json::from_str(text(entry)?).map_err(|error| broken(&entry.name, error))?;
        let instance = Instance::from(wire);
        instance.check().map_err(|error| broken(&entry.name, error))?;
        Ok(instance)
    }

    fn encode(&self, name: &Name, item: &Instance) -> Result<Bytes> {
        item.check().map_err(|error| broken(name, error))?;
        let value = serde_json::to_vec(&Wire::from(item.clone())).map_err(|error| broken(name, error))?;
        check_size(name, &value)?;
        Ok(value.into())
    }
}

/// The fields as they are written. Apart from [`Instance`], so that no foreign trait is part of what that promises.
#[derive(Serialize, Deserialize)]
struct Wire {
    address: String,
    port: u16,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    ports: BTreeMap<String, u16>,
    #[serde(default = "default_weight", skip_serializing_if = "is_default_weight")]
    weight: u16,
    #[serde(default, skip_serializing_if = "is_healthy")]
    health: WireHealth,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    tags: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WireHealth {
    #[default]
    Healthy,
    Draining,
    Unhealthy,
}

fn default_weight() -> u16 {
    DEFAULT_WEIGHT
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_default_weight(weight: &u16) -> bool {
    *weight == DEFAULT_WEIGHT
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_healthy(health: &WireHealth) -> bool {
    matches!(health, WireHealth::Healthy)
}

impl From<Wire> for Instance {
    fn from(wire: Wire) -> Self {
        let Wire { address, port, ports, weight, health, tags, metadata } = wire;
        let health = match health {
            WireHealth::Healthy => Health::Healthy,
            WireHealth::Draining => Health::Draining,
            WireHealth::Unhealthy => Health::Unhealthy,
        };
        Self { address, port, ports, weight, health, tags, metadata }
    }
}

impl From<Instance> for Wire {
    fn from(instance: Instance) -> Self {
        let Instance { address, port, ports, weight, health, tags, metadata } = instance;
        let health = match health {
            Health::Healthy => WireHealth::Healthy,
            Health::Draining => WireHealth::Draining,
            Health::Unhealthy => WireHealth::Unhealthy,
        };
        Self { address, port, ports, weight, health, tags, metadata }
    }
}
