//! Who is measured: the floor, ours, and peers, each as a process that follows a directory.

mod peers;
mod running;

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::Result;
use crate::bench::Bench;
use crate::harness::{FLOOR, FLOOR_WITH_PROMISES, OURS};
use crate::stores::{Kind, Store};
pub(crate) use peers::{Peer, read_peers};
pub(crate) use running::Running;

/// A program that can follow a directory.
#[derive(Clone, Debug)]
pub(crate) enum Contestant {
    /// The least that it can cost.
    Floor,
    /// The floor that promises what the program does: it waits for no disk, and its renames last.
    Promising,
    /// `cluster-control run` with one file.
    Ours,
    /// `cluster-control run` with a registration and three watches.
    Idle,
    /// The floor that prints each change.
    FloorPrints,
    /// `cluster-control watch`, which prints each change.
    OursPrints,
    /// A process that subscribes with the library, and prints each change.
    Library,
    /// Another tool.
    Peer(Peer),
}

/// What one of them follows, and where.
pub(crate) struct Place {
    directory: TempDir,
    /// The directory in the store.
    pub(crate) path: String,
    /// The port of the server, or of a relay to it.
    port: Option<u16>,
}

impl Place {
    pub(crate) fn new(path: &str, port: Option<u16>) -> Result<Self> {
        Ok(Self { directory: TempDir::with_prefix("bench-")?, path: path.to_owned(), port })
    }

    fn directory(&self) -> &Path {
        self.directory.path()
    }
}

impl Contestant {
    /// The directories that [`Idle`](Self::Idle) watches.
    pub(crate) const IDLE_WATCHES: [&str; 3] = ["/bench/one", "/bench/two", "/bench/three"];

    /// Those that write a file, the floor first, with the peers for this store.
    pub(crate) fn writers(bench: &Bench, kind: Kind) -> Vec<Self> {
        // The embedded store has no raw client that could be waited on.
        let floor = (kind != Kind::Sqlite).then_some(Self::Floor);
        let peers = bench.peers.iter().filter(|peer| peer.on.contains(&kind)).cloned().map(Self::Peer);
        floor.into_iter().chain([Self::Ours]).chain(peers).collect()
    }

    /// The same, and what the promises cost the floor.
    pub(crate) fn writers_and_promises(bench: &Bench, kind: Kind) -> Vec<Self> {
        let promising = (kind != Kind::Sqlite).then_some(Self::Promising);
        Self::writers(bench, kind).into_iter().chain(promising).collect()
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Floor | Self::FloorPrints => FLOOR,
            Self::Promising => FLOOR_WITH_PROMISES,
            Self::Ours | Self::Idle => OURS,
            Self::OursPrints => "cluster-control watch",
            Self::Library => "the library",
            Self::Peer(peer) => &peer.name,
        }
    }

    /// Starts it.
    pub(crate) fn start(&self, bench: &Bench, store: &Store, place: Place) -> Result<Running> {
        let command = self.command(bench, store, &place)?;
        match self {
            Self::FloorPrints | Self::OursPrints | Self::Library => Running::printing(command, place.directory),
            Self::Floor | Self::Promising | Self::Ours | Self::Idle => {
                Running::writing(command, place.directory, false)
            }
            Self::Peer(_) => Running::writing(command, place.directory, true),
        }
    }

    fn command(&self, bench: &Bench, store: &Store, place: &Place) -> Result<Command> {
        let (directory, file) = (place.directory(), place.directory().join(running::FILE));
        let (url, address) = (store.url(place.port), format!("http://127.0.0.1:{}", place.port.unwrap_or_default()));
        let program = |program: &Path| {
            let mut command = Command::new(program);
            command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path))).current_dir(directory);
            command
        };
        let ours = || {
            let mut command = program(&bench.program);
            command.env("CLUSTER_CONTROL_REGISTRY", &url).env("XDG_RUNTIME_DIR", directory);
            command
        };
        let kind = match store.kind {
            Kind::EtcdV3 => "etcd-v3",
            Kind::EtcdV2 => "etcd-v2",
            Kind::Consul => "consul",
            Kind::Sqlite => "sqlite",
        };
        Ok(match self {
            Self::Floor | Self::Promising => {
                let mut command = program(&bench.floor);
                command.args([kind, &address, &place.path]).arg(&file).arg("--fsync");
                if matches!(self, Self::Promising) {
                    command.args(["--lasting", "--aside"]);
                }
                command
            }
            Self::FloorPrints => {
                let mut command = program(&bench.floor);
                command.args([kind, &address, &place.path, "-"]);
                command
            }
            Self::Ours | Self::Idle => {
                let configuration = directory.join("cluster-control.toml");
                let mut text = configured(&[&place.path], &file);
                if matches!(self, Self::Idle) {
                    text =
                        configured(&Self::IDLE_WATCHES, &file) + "\n[self]\ncluster = \"idle\"\nid = \"10.0.0.1:80\"\n";
                }
                fs::write(&configuration, text)?;
                let mut command = ours();
                command.arg("--config").arg(configuration).args(["run", "--", "sleep", "infinity"]);
                command
            }
            Self::OursPrints => {
                let mut command = ours();
                command.args(["watch", &place.path]);
                command
            }
            Self::Library => {
                let mut command = program(&bench.subscriber);
                command.args([&url, &place.path]);
                command
            }
            Self::Peer(peer) => {
                let filled = peer.fill(&[
                    ("url", &address),
                    ("endpoint", address.trim_start_matches("http://")),
                    ("prefix", &place.path),
                    ("file", &file.to_string_lossy()),
                    ("dir", &directory.to_string_lossy()),
                ]);
                for (path, content) in &filled.files {
                    let path = directory.join(path);
                    fs::create_dir_all(path.parent().unwrap_or(directory))?;
                    fs::write(path, content)?;
                }
                let mut command = program(Path::new(&filled.command[0]));
                command.args(&filled.command[1..]).env("HOME", directory);
                command
            }
        })
    }
}

/// A file with the values of all members, as the floor writes it; everything else as it is by default.
fn configured(paths: &[&str], file: &Path) -> String {
    let watch = |(number, path)| format!("[[watch]]\nname = \"w{number}\"\npath = \"{path}\"\n");
    let watches: String = paths.iter().enumerate().map(watch).collect();
    let names: Vec<_> = (0..paths.len()).map(|number| format!("\"w{number}\"")).collect();
    let (names, file) = (names.join(", "), file.display());
    format!("{watches}[[file]]\nkind = \"json\"\nshape = \"map\"\nwatch = [{names}]\ndest = \"{file}\"\n")
}
