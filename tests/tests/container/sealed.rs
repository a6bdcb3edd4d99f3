//! Containers in which next to nothing can be written.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use cluster_control_tests::{SOON, Sandbox, eventually};

use crate::engine::Container;
use crate::process::RUNTIME;

/// No server, no store, no directory: the members stand in the environment.
pub(crate) fn nothing_is_writable(sandbox: &Sandbox) {
    let options = ["--env", "CLUSTER_CONTROL_REGISTRY=env:", "--env", "CLUSTER_MEMBERS_DB=10.0.0.2:3306,10.0.0.1:3306"];
    let members = "10.0.0.1:3306\n10.0.0.2:3306\n";
    let done = Container::finish(&options, &["run", "--", "/cluster-control", "members", "db"], SOON);
    assert_eq!((done.code, done.stdout.as_str()), (0, members), "{done:?}");
    let done = Container::finish(&options, &["wait", "db", "--min", "2"], SOON);
    assert_eq!((done.code, done.stdout.as_str()), (0, members), "{done:?}");
    let done = Container::finish(&options, &["wait", "db", "--min", "3", "--timeout", "1s"], SOON);
    assert_eq!((done.code, done.stdout.as_str()), (124, ""), "{done:?}");

    sandbox.write("etc/list.j2", "{% for member in members %}{{ member.host }};{% endfor %}");
    let volume = format!("{}:/etc/cluster-control:ro", sandbox.path("etc").display());
    let render = ["render", "--cluster", "db", "/etc/cluster-control/list.j2:-"];
    let done = Container::finish(&[&options[..], &["--volume", &volume]].concat(), &render, SOON);
    assert_eq!((done.code, done.stdout.as_str()), (0, "10.0.0.1;10.0.0.2;"), "{done:?}");

    // What cannot be is said, and nothing is started.
    let done = Container::finish(&options, &["run", "--cluster", "db", "--id", "a:1", "--", "/busybox", "true"], SOON);
    assert_eq!((done.code, done.stdout.as_str()), (78, ""), "{done:?}");
    assert!(done.stderr.contains("read-only"), "{done:?}");
    let done = Container::finish(&[], &["run", "--cluster", "db", "--id", "a:1", "--", "/busybox", "true"], SOON);
    assert_eq!((done.code, done.stdout.as_str()), (78, ""), "{done:?}");
    assert!(done.stderr.contains("XDG_RUNTIME_DIR"), "{done:?}");
}

/// The one file of the application is mounted into a read-only image: there is no directory for a temporary file.
pub(crate) fn a_mounted_file_is_written_in_place(sandbox: &Sandbox) {
    sandbox.write(
        "etc/cluster-control.toml",
        "[[watch]]\nname = \"web\"\n[[file]]\nkind = \"json\"\nwatch = [\"web\"]\ndest = \"/etc/app.json\"\n",
    );
    let file = sandbox.write("app.json", "[\"something longer than what will be written, to be cut off\"]");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).expect("a mode");
    let before = fs::metadata(&file).expect("a file").ino();
    let etc = format!("{}:/etc/cluster-control:ro", sandbox.path("etc").display());
    let app = format!("{}:/etc/app.json", file.display());
    let container = Container::start(
        &[&["--volume", &etc, "--volume", &app], &RUNTIME[..]].concat(),
        &["run", "--cluster", "web", "--id", "a:80", "--", "/busybox", "sleep", "1000"],
    );
    eventually(SOON, "it is written", || sandbox.read("app.json").as_deref() == Some(r#"["a:80"]"#));
    assert_eq!(fs::metadata(&file).expect("a file").ino(), before, "it is the same file");
    eventually(SOON, "it is said", || {
        let log = container.log();
        log.contains("/etc/app.json") && log.contains("written in place")
    });
    container.signal("TERM");
    assert_eq!(container.wait(Duration::from_secs(10)), 143);
}
