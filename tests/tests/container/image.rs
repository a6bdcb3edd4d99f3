//! The image: the program, the libraries that it needs, one child, and nothing else. No registry is asked for anything.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use cluster_control_tests::program;
use test_servers::Mortal;

use crate::engine::{docker, need_engine};

/// Whom everything in the image belongs to, and who runs it: nobody.
pub(crate) const USER: &str = "65534:65534";
/// A directory of that user, for a volume that containers share.
pub(crate) const SHARED: &str = "/shared";

/// The image's name. It is made when it is first asked for, and removed when this process ends.
pub(crate) fn image() -> &'static str {
    static IMAGE: OnceLock<(String, Mortal)> = OnceLock::new();
    &IMAGE
        .get_or_init(|| {
            need_engine();
            let name = format!("cluster-control-test/program:{}", std::process::id());
            let mortal = Mortal::image(&name).unwrap_or_else(|error| panic!("{error}"));
            make(&name);
            (name, mortal)
        })
        .0
}

fn make(name: &str) {
    let root = tempfile::tempdir().expect("a temporary directory");
    let put = |from: &Path, to: &str| {
        let to = root.path().join(to.trim_start_matches('/'));
        fs::create_dir_all(to.parent().expect("a file is in a directory")).expect("a directory");
        fs::copy(from, &to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    };
    put(program(), "/cluster-control");
    for library in libraries(program()) {
        put(&library, library.to_str().expect("UTF-8"));
    }
    put(&static_busybox(), "/busybox");
    for directory in [SHARED, "/run", "/etc"] {
        fs::create_dir_all(root.path().join(directory.trim_start_matches('/'))).expect("a directory");
    }
    fs::write(root.path().join("not-executable"), "").expect("a file");

    let (uid, gid) = USER.split_once(':').expect("two numbers");
    let mut tar = Command::new("tar")
        .args(["--create", "--numeric-owner", "--owner", uid, "--group", gid, "--directory"])
        .args([root.path(), Path::new(".")])
        .stdout(Stdio::piped())
        .spawn()
        .expect("tar can be started");
    let imported = Command::new("docker")
        .args(["import", "--change", "ENTRYPOINT [\"/cluster-control\"]", "-", name])
        .stdin(tar.stdout.take().expect("it is a pipe"))
        .output()
        .expect("docker can be started");
    assert!(imported.status.success(), "docker import: {}", String::from_utf8_lossy(&imported.stderr));
    assert!(tar.wait().expect("tar ends").success(), "tar could not pack the image");
    // What every test needs is tried once, so that it fails with one clear reason.
    docker(&["run", "--rm", "--read-only", "--user", USER, "--network", "none", name, "--version"]);
}

/// What the loader would load, and the loader itself; nothing for a static program.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let listed = Command::new("ldd").arg(program).output().expect("ldd can be started");
    let words = String::from_utf8(listed.stdout).expect("UTF-8");
    words.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

fn static_busybox() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|directory| directory.join("busybox")).find(|file| file.is_file());
    let busybox = found.expect("these tests need a static busybox: run `make setup` (Debian: busybox-static)");
    assert!(libraries(&busybox).is_empty(), "{} is not static: run `make setup`", busybox.display());
    busybox
}
