//! Which backend a URL means.

use std::sync::Arc;

use registry_core::{Error, Registry, Result};

use crate::environment::Environment;

type Open = fn(&str, &Environment) -> Result<Arc<dyn Registry>>;

/// Every scheme that is compiled in, and how its URL is opened.
const SCHEMES: &[(&str, Open)] = &[
    #[cfg(feature = "etcd-v3")]
    ("etcd", etcd_v3),
    #[cfg(feature = "etcd-v3")]
    ("etcds", etcd_v3),
    #[cfg(feature = "etcd-v2")]
    ("etcd-v2", etcd_v2),
    #[cfg(feature = "etcd-v2")]
    ("etcd-v2s", etcd_v2),
    #[cfg(feature = "consul")]
    ("consul", consul),
    #[cfg(feature = "consul")]
    ("consuls", consul),
    #[cfg(feature = "consul")]
    ("consul-kv", consul_kv),
    #[cfg(feature = "consul")]
    ("consul-kvs", consul_kv),
    #[cfg(feature = "env")]
    ("env", env),
    #[cfg(feature = "sqlite")]
    ("sqlite", |url, _| Ok(Arc::new(registry_sqlite::connect(registry_sqlite::Config::from_uri(url)?)?))),
];

#[cfg(feature = "etcd-v3")]
fn etcd_v3(url: &str, environment: &Environment) -> Result<Arc<dyn Registry>> {
    let config = registry_etcd_v3::Config::from_uri(url)?;
    Ok(Arc::new(registry_etcd_v3::connect(environment.complete(config.address)?)?))
}

#[cfg(feature = "etcd-v2")]
fn etcd_v2(url: &str, environment: &Environment) -> Result<Arc<dyn Registry>> {
    let config = registry_etcd_v2::Config::from_uri(url)?;
    Ok(Arc::new(registry_etcd_v2::connect(environment.complete(config.address)?)?))
}

#[cfg(feature = "consul")]
fn consul(url: &str, environment: &Environment) -> Result<Arc<dyn Registry>> {
    let config = registry_consul::Config::from_uri(&registry_consul::CATALOG, url)?;
    Ok(Arc::new(registry_consul::connect(environment.complete_consul(config)?)?))
}

#[cfg(feature = "consul")]
fn consul_kv(url: &str, environment: &Environment) -> Result<Arc<dyn Registry>> {
    let config = registry_consul::Config::from_uri(&registry_consul::KV, url)?;
    Ok(Arc::new(registry_consul::connect_kv(environment.complete_consul(config)?)?))
}

#[cfg(feature = "env")]
fn env(url: &str, _: &Environment) -> Result<Arc<dyn Registry>> {
    if url != "env:" {
        // Not repeated: who takes it for the URL of a server may have written a password.
        return Err(Error::config("`env:` stands alone: the members are in the variables, not in the URL"));
    }
    Ok(Arc::new(registry_env::EnvRegistry::from_environment()?))
}

/// The schemes of the backends that are compiled in.
pub fn known_schemes() -> Vec<&'static str> {
    SCHEMES.iter().map(|(scheme, _)| *scheme).collect()
}

/// Opens the registry that a URL names. Asks no server: one that is down is found out by the first call, and recovered
/// from by [`RegistryExt`](crate::RegistryExt).
///
/// # Errors
/// `Config`, naming what is wrong with the URL or with a file that it names, never a password. An unknown scheme lists
/// those that are compiled in.
pub fn connect(url: &str) -> Result<Arc<dyn Registry>> {
    connect_in(url, &Environment::default())
}

/// The same on a machine that is set up for the own tools of etcd or Consul: what the URL does not say (certificates, who we
/// are) is taken from their variables. What it says wins.
///
/// # Errors
/// As [`connect`].
pub fn connect_in(url: &str, environment: &Environment) -> Result<Arc<dyn Registry>> {
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    let Some((_, open)) = SCHEMES.iter().find(|(known, _)| *known == scheme) else {
        return Err(unknown(scheme));
    };
    open(url, environment)
}

fn unknown(scheme: &str) -> Error {
    let known = known_schemes();
    let list = known.iter().map(|known| format!("{known}:")).collect::<Vec<_>>().join(", ");
    // Without a scheme, what stands there may be anything, a password too.
    if scheme.is_empty() || scheme.len() > 20 || !scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Error::config(format!("a registry URL begins with its scheme; known are: {list}"));
    }
    let near = known.iter().map(|known| (strsim::jaro_winkler(scheme, known), known));
    match near.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((likeness, near)) if likeness > 0.8 => {
            Error::config(format!("the scheme `{scheme}:` is not known; did you mean `{near}:`? known are: {list}"))
        }
        _ => Error::config(format!("the scheme `{scheme}:` is not known; known are: {list}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(feature = "env")]
    fn env_stands_alone() {
        for url in ["env:db", "env://h", "env:?x=y"] {
            let error = connect(url).expect_err(url);
            assert!(error.kind() == registry_core::ErrorKind::Config && error.to_string().contains("alone"), "{error}");
        }
    }

    #[test]
    fn an_unknown_scheme_lists_what_is_compiled_in() {
        for (url, says) in
            [("zookeeper://h", "sqlite:"), ("sqlit:///x", "did you mean `sqlite:`"), ("secret", "begins with")]
        {
            let error = connect(url).expect_err(url).to_string();
            assert!(error.contains(says) && !error.contains("secret"), "{error}");
        }
    }
}
