//! What this process registers, from the file and the command line.

use registry::{Dir, Key};

use super::{SelfSpec, check_times, cluster_dir};
use crate::arguments::Own;

/// The command line wins, part by part.
pub(super) fn merge(configured: Option<&SelfSpec>, given: &Own) -> Result<Option<SelfSpec>, String> {
    let key = match (&given.key, &given.cluster, &given.id) {
        (Some(key), _, _) => Some(Key::parse(key).map_err(|error| error.to_string())?),
        (None, Some(cluster), id) => Some(key(cluster, id.as_deref())?),
        (None, None, _) => None,
    };
    let mut own = match (key, configured) {
        (Some(key), Some(configured)) => SelfSpec { key, ..configured.clone() },
        (Some(key), None) => SelfSpec { key, value: String::new(), ttl: None, renew_every: None },
        (None, Some(configured)) => configured.clone(),
        (None, None) => return Ok(None),
    };
    if let Some(value) = &given.value {
        own.value.clone_from(value);
    }
    if let Some(ttl) = given.ttl {
        own.ttl = Some(ttl);
        // A heartbeat of the file belongs to the file's time to live.
        own.renew_every = own.renew_every.filter(|heartbeat| *heartbeat < ttl);
    }
    if let (Some(ttl), Some(heartbeat)) = (own.ttl, own.renew_every) {
        check_times(ttl, heartbeat)?;
    }
    Ok(Some(own))
}

/// The key of `id` in a cluster; without an id, this machine's name.
pub(super) fn key(cluster: &str, id: Option<&str>) -> Result<Key, String> {
    let dir: Dir = cluster_dir(cluster)?;
    let id = match id {
        Some(id) => id.to_owned(),
        None => rustix::system::uname().nodename().to_string_lossy().into_owned(),
    };
    member(&dir, &id)
}

/// The key of a member of a cluster: what lies in a directory below is none.
pub(super) fn member(dir: &Dir, name: &str) -> Result<Key, String> {
    if name.contains('/') {
        return Err(format!("the name {name:?} holds `/`; the name of a member is one word, such as 10.0.0.1:80"));
    }
    dir.key(name).map_err(|error| error.to_string())
}
