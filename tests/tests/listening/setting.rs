//! What the tests here begin with: a configuration, a child that ends in three ways, and what keeps `run` waiting.

use std::fs;
use std::process::Command;
use std::time::Duration;

use cluster_control_tests::{Context, Process, SOON, Sandbox, Signal, eventually};
use rustix::process::{Pid, kill_process};

/// Those who stop containers kill after this long.
pub(crate) const IN_TIME: Duration = Duration::from_secs(10);

/// Ends with 9 when it is told to, and with 5 by itself: when USR1 comes, which nobody but a test sends.
pub(crate) const CHILD: &str = "\
    trap 'echo TERM >> child.signals; kill $!; exit 9' TERM
    trap 'echo HUP >> child.signals' HUP
    trap 'kill $!; exit 5' USR1
    sleep 1000 &
    echo $$ >> child.pids
    while :; do wait $!; done";

/// Writes `cluster-control.toml`, for a child that is not drained.
pub(crate) fn configure(sandbox: &Sandbox, url: &str, sections: &[String]) {
    configure_child(sandbox, url, "drain = \"0s\"", sections);
}

/// The same with another `[child]`.
pub(crate) fn configure_child(sandbox: &Sandbox, url: &str, child: &str, sections: &[String]) {
    let head = format!("[registry]\nurl = \"{url}\"\n[child]\nstart_timeout = \"10m\"\n{child}\n");
    // As a whole: it may be read at every moment.
    let new = sandbox.write("cluster-control.new", [&[head], sections].concat().concat());
    fs::rename(new, sandbox.path("cluster-control.toml")).expect("a file");
}

/// `[self]`, which outlives what a test does to its server.
pub(crate) fn own(key: &str) -> String {
    format!("[self]\nkey = \"{key}\"\nttl = \"30s\"\n")
}

/// `[[watch]]`.
pub(crate) fn watch(name: &str, dir: &str) -> String {
    format!("[[watch]]\nname = \"{name}\"\npath = \"{dir}\"\n")
}

/// `[[file]]`: `NAME.json`.
pub(crate) fn json_file(name: &str, more: &str) -> String {
    format!("[[file]]\nkind = \"json\"\nwatch = [\"{name}\"]\ndest = \"{name}.json\"\nwindow = \"0s\"\n{more}\n")
}

/// `[[file]]`: from the template `page.j2`.
pub(crate) fn template(name: &str) -> String {
    format!("[[file]]\nkind = \"template\"\nsrc = \"page.j2\"\nwatch = [\"{name}\"]\ndest = \"page\"\n")
}

/// A key whose value is a script.
pub(crate) fn script(key: &str, script: &str) -> String {
    format!("{key} = [\"bash\", \"-c\", '''{script}''', \"bash\", \"{{src}}\"]\n")
}

/// Starts `run` with [`CHILD`]. It may be long until the child runs.
pub(crate) fn start(sandbox: &Sandbox) -> Process {
    sandbox.program(["run", "--", "bash", "-c", CHILD]).start()
}

/// Waits until the child listens, and returns its id.
pub(crate) fn child_id(sandbox: &Sandbox) -> u32 {
    eventually(SOON, "the child runs", || sandbox.lines("child.pids") > 0);
    let ids = sandbox.read("child.pids").expect("it is there");
    assert_eq!(ids.lines().count(), 1, "the child was started once");
    ids.trim().parse().expect("a number")
}

/// Waits until the entry is there.
pub(crate) fn registered(context: &Context) {
    eventually(SOON, "the entry is there", || context.witness.get(&context.key()).is_some());
}

/// Sends a signal to any process.
pub(crate) fn signal(id: u32, signal: Signal) {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw).expect("an id");
    kill_process(pid, signal).expect("it runs");
}

/// Removes what an earlier round has left.
pub(crate) fn forget(sandbox: &Sandbox, files: &[&str]) {
    for file in ["child.pids", "child.signals"].iter().chain(files) {
        let _ = fs::remove_file(sandbox.path(file));
    }
}

/// Waits until nothing that was started in this test runs any more, but what keeps a [`Lease`].
pub(crate) fn nothing_is_left(sandbox: &Sandbox) {
    let command = |id: u32| fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
    eventually(SOON, "everything has ended", || {
        sandbox.processes().into_iter().all(|id| command(id).starts_with("perl\0"))
    });
}

/// Keeps everybody from opening a file, as a disk that hangs does: by a lease (`fcntl(2)`), which the kernel takes away after
/// 45 seconds, and which ends when this is dropped.
pub(crate) struct Lease(Process);

impl Lease {
    const HOLD: &str = "\
        $| = 1;
        $SIG{IO} = sub { print \"asked\\n\" };
        open(my $file, '+<', $ARGV[0]) or die $!;
        fcntl($file, 1024, 1) or die \"no lease: $!\";
        print \"held\\n\";
        sleep 1 while 1;";

    pub(crate) fn take(sandbox: &Sandbox, file: &str) -> Self {
        let mut command = Command::new("perl");
        command.args(["-e", Self::HOLD]).arg(sandbox.path(file));
        let process = sandbox.launch(command).start();
        eventually(SOON, "the lease is held", || process.stdout().contains("held"));
        Self(process)
    }

    /// Waits until somebody opens the file, who hangs from now on.
    pub(crate) fn is_asked(&self) {
        eventually(SOON, "the file is opened", || self.0.stdout().contains("asked"));
    }

    /// Whether there are leases where tests keep their files, and who could take one.
    pub(crate) fn probe() -> Result<(), String> {
        // Closed: nobody else may have it open.
        let file = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?.into_temp_path();
        let script = Self::HOLD.replace("sleep 1 while 1;", "");
        let tried = Command::new("perl").args(["-e", &script]).arg(&file).output();
        let tried = tried.map_err(|error| format!("perl: {error}"))?;
        let said = String::from_utf8_lossy(&tried.stderr);
        if tried.status.success() { Ok(()) } else { Err(format!("a lease cannot be taken: {}", said.trim())) }
    }
}
