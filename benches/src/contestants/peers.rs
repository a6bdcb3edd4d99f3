//! Other tools, described in a file of the user's own.
//!
//! ```toml
//! [[peer]]
//! name = "etcdctl + sh"
//! on = ["etcd-v3"]
//! command = ["sh", "{dir}/follow.sh"]
//! [[peer.file]]
//! path = "follow.sh"
//! content = '''...{endpoint}...{prefix}...{file}...'''
//! ```

use std::fs;
use std::path::{Component, Path};

use serde::Deserialize;

use crate::Result;
use crate::stores::Kind;

/// One tool.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Peer {
    pub(crate) name: String,
    /// The stores that it knows.
    pub(crate) on: Vec<Kind>,
    /// The program and its arguments. It is to write the file, and to follow the directory until it is ended.
    pub(crate) command: Vec<String>,
    /// What it needs to find in its working directory.
    #[serde(default, rename = "file")]
    pub(crate) files: Vec<Needed>,
}

/// A configuration or a template.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Needed {
    /// Below the working directory.
    path: String,
    content: String,
}

/// A peer with its placeholders filled in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Filled {
    pub(crate) command: Vec<String>,
    pub(crate) files: Vec<(String, String)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "peer")]
    peers: Vec<Peer>,
}

/// Reads the peers of a file.
///
/// Fails, naming the file, for what is not TOML, for an unknown key or store, and for a peer that could not be started.
pub(crate) fn read_peers(file: &Path) -> Result<Vec<Peer>> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = fs::read_to_string(file).map_err(|error| named(&error))?;
    Ok(parse(&text).map_err(|error| named(&error))?)
}

fn parse(text: &str) -> Result<Vec<Peer>, String> {
    let File { peers } = toml::from_str(text).map_err(|error| error.to_string())?;
    for (number, peer) in peers.iter().enumerate() {
        let name = &peer.name;
        if name.is_empty() || peers[..number].iter().any(|other| other.name == *name) {
            return Err(format!("a peer needs a name of its own, not {name:?}"));
        }
        if peer.command.is_empty() || peer.on.is_empty() {
            return Err(format!("{name} needs a `command` and, in `on`, the stores that it knows"));
        }
        let leaves = |path: &str| Path::new(path).components().any(|part| !matches!(part, Component::Normal(_)));
        if let Some(needed) = peer.files.iter().find(|needed| needed.path.is_empty() || leaves(&needed.path)) {
            return Err(format!("{name}: the path {:?} does not lie below the working directory", needed.path));
        }
    }
    Ok(peers)
}

impl Peer {
    /// Puts values in the place of `{name}`. Other braces stay: templates are full of them.
    pub(crate) fn fill(&self, values: &[(&str, &str)]) -> Filled {
        let fill = |text: &String| {
            values.iter().fold(text.clone(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
        };
        Filled {
            command: self.command.iter().map(fill).collect(),
            files: self.files.iter().map(|needed| (needed.path.clone(), fill(&needed.content))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
        [[peer]]
        name = 'tool'
        on = ['etcd-v3', 'etcd-v2']
        command = ['tool', '--to', '{file}', '--at={url}']
        [[peer.file]]
        path = 'conf/x.toml'
        content = '{{range gets \"{prefix}\"}}${HOME}{{end}}'
    ";

    #[test]
    fn placeholders_are_filled_and_other_braces_stay() {
        let peers = parse(GOOD).unwrap();
        assert_eq!(peers[0].on, [Kind::EtcdV3, Kind::EtcdV2]);
        let filled = peers[0].fill(&[("file", "/x"), ("url", "http://h"), ("prefix", "/p")]);
        assert_eq!(filled.command, ["tool", "--to", "/x", "--at=http://h"]);
        assert_eq!(filled.files, [("conf/x.toml".to_owned(), "{{range gets \"/p\"}}${HOME}{{end}}".to_owned())]);
    }

    #[test]
    fn what_could_not_be_started_is_refused() {
        let refused = |from: &str, to: &str| {
            assert!(GOOD.contains(from));
            parse(&GOOD.replace(from, to)).unwrap_err()
        };
        assert!(refused("etcd-v3", "zookeeper").contains("zookeeper"));
        assert!(refused("command =", "comand =").contains("comand"));
        assert!(refused("'tool', '--to', '{file}', '--at={url}'", "").contains("needs a `command`"));
        assert!(refused("'etcd-v3', 'etcd-v2'", "").contains("needs a `command`"));
        assert!(refused("conf/x.toml", "../x").contains("../x"));
        assert!(refused("conf/x.toml", "/etc/x").contains("/etc/x"));
        assert!(refused("name = 'tool'", "name = ''").contains("name of its own"));
        assert!(parse(&format!("{GOOD}{GOOD}")).unwrap_err().contains("\"tool\""));
        assert_eq!(parse("").unwrap(), []);
    }

    #[test]
    fn an_error_names_the_file() {
        let error = read_peers(Path::new("/nowhere/peers.toml")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/peers.toml"), "{error}");
    }
}
