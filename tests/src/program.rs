//! Where the program is that is tested.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The program `cluster-control`, built from the sources as they are now, once for each test executable and with the
/// profile that the executable was built with; or the one that the variable `TEST_PROGRAM` names.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| env::var_os("TEST_PROGRAM").map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    let this = env::current_exe().expect("an executable has a path");
    // target/PROFILE/deps/TEST
    let profile_dir = this.ancestors().nth(2).expect("cargo puts tests into deps");
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let target = profile_dir.parent().expect("cargo puts profiles into a directory");
    let built = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--quiet", "--package", "cluster-control", "--profile", profile, "--target-dir"])
        .arg(target)
        .status()
        .expect("cargo can be started");
    assert!(built.success(), "the program does not build");
    profile_dir.join("cluster-control")
}
