//! What the commands that this program starts do not inherit: the secrets of the registry.
//!
//! Every command is started by a [`Processes`] that is made here: the child of `run`, checks, probes, notifications, and the
//! commands of `lock`, `elect`, `watch`, `partition` and `schedule`. Only the commands of the original scripts pass on what
//! they got.

use std::env;
use std::ffi::{OsStr, OsString};

use processes::Processes;

use crate::configuration::Configuration;
use crate::exit::{ERROR, Failure, Outcome};

/// Who we are for the registry, in the variables of the tools of etcd and Consul.
const CREDENTIALS: [&str; 6] = [
    "CONSUL_HTTP_TOKEN",
    "CONSUL_HTTP_AUTH",
    "ETCDCTL_USER",
    "ETCDCTL_USERNAME",
    "ETCDCTL_PASSWORD",
    "ETCDCTL_AUTH_JWT_TOKEN",
];
/// Where the registry is. They are taken away only when there is a password in them.
const ADDRESSES: [&str; 3] = ["CLUSTER_CONTROL_REGISTRY", "ETCDCTL_ENDPOINTS", "CONSUL_HTTP_ADDR"];
/// Names what was taken away, for a program of this kind below: it must not take another registry for its own.
const MARKER: &str = "CLUSTER_CONTROL_WITHHELD";

/// What starts the commands of a configuration.
pub(crate) fn processes(configuration: &Configuration) -> Outcome<Processes> {
    let processes = everything_inherited()?;
    let withheld = withheld(configuration, |name| env::var_os(name).filter(|value| !value.is_empty()));
    if withheld.is_empty() {
        return Ok(processes);
    }
    tracing::debug!("commands do not inherit {}; `pass_env` gives a variable back", withheld.join(", "));
    let mut names = missing();
    names.extend(withheld.iter().filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>());
    let marker = (OsString::from(MARKER), Some(OsString::from(names.join(","))));
    let removed = withheld.into_iter().map(|name| (name.into(), None));
    Ok(processes.with_environment(removed.chain([marker])))
}

/// For the commands of the original scripts, which are the registry's own parts.
pub(crate) fn everything_inherited() -> Outcome<Processes> {
    Processes::start().map_err(|error| Failure::new(ERROR, format!("cannot start: {error}")))
}

/// The names of the variables that are set and taken away.
fn withheld(configuration: &Configuration, variable: impl Fn(&str) -> Option<OsString>) -> Vec<String> {
    let secret = |name: &str, value: &OsStr| {
        CREDENTIALS.contains(&name)
            || configuration.url_secrets.iter().any(|secret| secret == name)
            || has_password(&value.to_string_lossy())
    };
    let names = CREDENTIALS.into_iter().chain(ADDRESSES);
    let mut names: Vec<_> = names.chain(configuration.url_variables.iter().map(String::as_str)).collect();
    names.retain(|name| !configuration.pass_env.iter().any(|pass| pass == name));
    names.retain(|name| variable(name).is_some_and(|value| secret(name, &value)));
    let mut unique = Vec::new();
    for name in names.into_iter().map(str::to_owned) {
        if !unique.contains(&name) {
            unique.push(name);
        }
    }
    unique
}

/// Whether a password stands in a URL, a list of URLs, or the part of a URL between `//` and the path.
pub(crate) fn has_password(url: &str) -> bool {
    let place = url.split('?').next().unwrap_or_default();
    let rest = place.split_once("://").map_or(place, |(_, rest)| rest);
    // A colon in front of the last `@`, be it of a port: a password may hold commas too. A user alone is no secret.
    rest.rsplit_once('@').is_some_and(|(who, _)| who.contains(':'))
}

/// What a program of this kind around this one has taken away, and nobody has set again.
pub(crate) fn missing() -> Vec<String> {
    let marker = env::var_os(MARKER).unwrap_or_default().to_string_lossy().into_owned();
    let names = marker.split(',').filter(|name| !name.is_empty());
    names.filter(|name| env::var_os(name).is_none_or(|value| value.is_empty())).map(str::to_owned).collect()
}

/// Refuses to open a registry that is another one, or as somebody else, than what was meant, because a variable that says
/// so was taken away. `is_named`: the command line or its variable names the registry.
///
/// # Errors
/// Code 78, naming the variable and what to do.
pub(crate) fn check_registry(url: &str, is_named: bool) -> Outcome<()> {
    match needed(url, is_named, &missing(), env::var_os("CONSUL_HTTP_TOKEN_FILE").is_some()) {
        Some(name) => Err(Failure::configuration(taken_away(&name))),
        None => Ok(()),
    }
}

fn needed(url: &str, is_named: bool, missing: &[String], has_token_file: bool) -> Option<String> {
    let find = |names: &[&str]| missing.iter().find(|name| names.contains(&name.as_str())).cloned();
    if let Some(name) = find(&ADDRESSES).filter(|_| !is_named) {
        return Some(name);
    }
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let says = |key: &str| query.split('&').any(|pair| pair.split_once('=').is_some_and(|(name, _)| name == key));
    if url.starts_with("consul") && !has_token_file && !says("token_file") {
        return find(&CREDENTIALS[..2]);
    }
    if url.starts_with("etcd") && !place.contains('@') && !says("user") {
        return find(&CREDENTIALS[2..]);
    }
    None
}

/// The sentence about a variable that was taken away.
pub(crate) fn taken_away(name: &str) -> String {
    format!(
        "the variable {name} was taken away by the cluster-control that started this command, because it holds a secret of the \
         registry: start that one with `--pass-env {name}`, or write `pass_env = [\"{name}\"]` into its configuration"
    )
}

/// Checks the names that are to be given back.
///
/// # Errors
/// The name that is never taken away, and those that are.
pub(crate) fn check_names(names: &[String], url_variables: &[String]) -> Result<(), String> {
    let known = || CREDENTIALS.into_iter().chain(ADDRESSES).chain(url_variables.iter().map(String::as_str));
    match names.iter().find(|name| !known().any(|known| known == name.as_str())) {
        None => Ok(()),
        Some(name) => Err(format!(
            "pass_env: {name:?} is never taken away from commands; what is, is: {}",
            known().collect::<Vec<_>>().join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(configuration: &Configuration, variables: &[(&str, &str)]) -> Vec<String> {
        let value = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        withheld(configuration, value)
    }

    #[test]
    fn takes_away_what_is_secret_and_nothing_else() {
        let mut configuration = Configuration::default();
        let all = [
            ("HOME", "/root"),
            ("CONSUL_HTTP_TOKEN", "x"),
            ("CONSUL_HTTP_TOKEN_FILE", "/token"),
            ("ETCDCTL_USER", "app"),
            ("ETCDCTL_ENDPOINTS", "h1:2379,http://u:p@h2"),
            ("CONSUL_HTTP_ADDR", "https://h:8501"),
            ("CLUSTER_CONTROL_REGISTRY", "etcd://app:p@h:2379/x"),
            ("URL_PASSWORD", "p"),
            ("HOST", "h"),
        ];
        let known = ["CONSUL_HTTP_TOKEN", "ETCDCTL_USER", "CLUSTER_CONTROL_REGISTRY", "ETCDCTL_ENDPOINTS"];
        assert_eq!(taken(&configuration, &all), known);
        configuration.url_variables = vec!["URL_PASSWORD".into(), "HOST".into(), "CONSUL_HTTP_TOKEN".into()];
        configuration.url_secrets = vec!["URL_PASSWORD".into()];
        assert_eq!(taken(&configuration, &all), [&known[..], &["URL_PASSWORD"]].concat());
        configuration.pass_env = vec!["URL_PASSWORD".into(), "ETCDCTL_USER".into()];
        assert_eq!(taken(&configuration, &all), [known[0], known[2], known[3]]);
        let open = [
            ("CLUSTER_CONTROL_REGISTRY", "etcd://app@h1:2379,h2:2379/x?password_file=/f"),
            ("ETCDCTL_ENDPOINTS", "h:1,g:2"),
        ];
        assert!(taken(&configuration, &open).is_empty(), "nothing in them is a secret");
    }

    #[test]
    fn another_registry_is_not_taken_for_the_one_that_was_meant() {
        let missing = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let address = missing(&["CLUSTER_CONTROL_REGISTRY"]);
        assert_eq!(needed("sqlite:", false, &address, false).as_deref(), Some("CLUSTER_CONTROL_REGISTRY"));
        assert_eq!(needed("sqlite:///x", true, &address, false), None);
        let token = missing(&["CONSUL_HTTP_TOKEN"]);
        assert_eq!(needed("consul://h", true, &token, false).as_deref(), Some("CONSUL_HTTP_TOKEN"));
        assert_eq!(needed("consul://h", true, &token, true), None);
        assert_eq!(needed("consul-kv://h?token_file=/t", true, &token, false), None);
        assert_eq!(needed("etcd://h", true, &token, false), None);
        let password = missing(&["ETCDCTL_PASSWORD"]);
        assert_eq!(needed("etcd-v2://h", false, &password, false).as_deref(), Some("ETCDCTL_PASSWORD"));
        assert_eq!(needed("etcd://app:p@h", false, &password, false), None);
        assert_eq!(needed("etcd://h?user=app&password_file=/p", false, &password, false), None);
    }

    #[test]
    fn only_what_is_taken_away_can_be_given_back() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(check_names(&names(&["CONSUL_HTTP_TOKEN", "MINE"]), &names(&["MINE"])), Ok(()));
        let problem = check_names(&names(&["HOME"]), &[]).unwrap_err();
        assert!(problem.contains("\"HOME\"") && problem.contains("ETCDCTL_PASSWORD"), "{problem}");
    }
}
