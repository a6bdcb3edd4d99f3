#![doc = include_str!("../README.md")]

mod catalogue;
mod consul_environment;
mod environment;
mod instance;
pub mod layer;
mod observe;
mod schemes;
mod variables;

pub use catalogue::{Catalogue, Members};
pub use environment::Environment;
pub use instance::{
    Codec, DEFAULT_WEIGHT, Health, Instance, Json, MAX_ITEMS, MAX_LABEL, MAX_TEXT, NameIsAddress, Raw, ValueIsAddress,
    ValueIsCount,
};
pub use registry_core::*;
pub use schemes::{connect, connect_in, known_schemes};

#[cfg(feature = "consul")]
pub use registry_consul as consul;
#[cfg(feature = "env")]
pub use registry_env as env;
#[cfg(feature = "etcd-v2")]
pub use registry_etcd_v2 as etcd_v2;
#[cfg(feature = "etcd-v3")]
pub use registry_etcd_v3 as etcd_v3;
#[cfg(feature = "sqlite")]
pub use registry_sqlite as sqlite;

/// The example of the project's front page compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct FrontPage;
