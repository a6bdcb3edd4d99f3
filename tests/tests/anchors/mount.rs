//! A file that is a mount point cannot be replaced by a rename. consul-template fails there.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use cluster_control_tests::{Context, SOON, eventually, program};

use crate::setting::{CHILD, RELOAD, configure, exec, holds, json_file, watch};

/// As Docker does with `--volume file:file`. In a mount namespace of its own, which takes the mount with it when the
/// program ends, however it ends; with a user namespace, so that it takes no root.
pub(crate) fn is_written_in_place(context: &Context) {
    configure(context, &[watch(context, "db"), exec("reload", RELOAD, ""), json_file("db", "reload")]);
    context.write("db.json", "");
    let source = context.write("source.json", "[\"something longer than what will be written, to be cut off\"]");
    let before = fs::metadata(&source).expect("a file").ino();
    context.witness.put(&context.at("db/10.0.0.1:3306"), "0");

    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "bash", "-c"]);
    command.arg("mount --bind source.json db.json && exec \"$0\" run -- bash -c \"$1\"").arg(program()).arg(CHILD);
    let run = context.launch(command).env("CLUSTER_CONTROL_REGISTRY", context.url()).start();
    holds(context, "source.json", &["10.0.0.1:3306"]);
    context.witness.put(&context.at("db/10.0.0.2:3306"), "0");
    holds(context, "source.json", &["10.0.0.1:3306", "10.0.0.2:3306"]);
    eventually(SOON, "it is told", || context.lines("reloads") == 1);

    assert_eq!(fs::metadata(&source).expect("a file").ino(), before, "it is the same file");
    assert_eq!(context.read("db.json").as_deref(), Some(""), "what the mount hides is untouched");
    let said = run.stderr();
    assert_eq!(said.matches("written in place").count(), 1, "it is said once: {said}");
    assert!(said.contains("db.json"), "{said}");
    let left: Vec<_> =
        fs::read_dir(context.dir()).expect("a directory").flatten().map(|entry| entry.file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with('.')), "temporary files are left: {left:?}");
}
