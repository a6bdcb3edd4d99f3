//! One bad input and what must come of it: an exit code, a message, and nothing else.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use cluster_control_tests::Sandbox;

/// What is refused is refused at once; what cannot be reached after its `--timeout`, which is a second or two here.
const LIMIT: Duration = Duration::from_secs(15);
/// A message is read by a person.
const MESSAGE: usize = 3000;
/// In every sandbox, and never to be touched.
const PRECIOUS: &str = "[\"as it was\"]";

/// `run` with a child that leaves a trace.
pub(crate) const RUN: &[&str] = &["run", "--start-timeout", "1s", "--", "touch", "started"];
pub(crate) const CHECK: &[&str] = &["config", "check"];

/// A command with something wrong about it.
#[derive(Debug)]
pub(crate) struct Case {
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
}

impl Case {
    pub(crate) fn new<A: Into<OsString>>(arguments: impl IntoIterator<Item = A>) -> Self {
        Self { arguments: arguments.into_iter().map(Into::into).collect(), environment: Vec::new() }
    }

    pub(crate) fn env(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.environment.push((name, OsString::from_vec(value.into())));
        self
    }

    /// Runs it, and checks all of it.
    pub(crate) fn ends(self, sandbox: &Sandbox, code: i32, says: &[&str]) {
        prepare(sandbox);
        let before = everything(&sandbox.dir());
        let begun = Instant::now();
        let mut launch = sandbox.program(Vec::<String>::new());
        for argument in &self.arguments {
            launch = launch.arg(argument);
        }
        for (name, value) in &self.environment {
            launch = launch.env(name, value);
        }
        let done = launch.finish(LIMIT);
        let what = format!("{self:?} after {:?}: {done:?}", begun.elapsed());
        let what = what.chars().take(6000).collect::<String>();
        assert_eq!(done.code, code, "{what}");
        assert_eq!(done.stdout, "", "{what}");
        for words in says {
            assert!(done.stderr.contains(words), "it does not say {words:?}: {what}");
        }
        assert!(!done.stderr.trim().is_empty() && done.stderr.len() < MESSAGE, "{what}");
        assert!(!done.stderr.contains(|c: char| c.is_control() && c != '\n'), "control characters: {what}");
        assert!(!done.stderr.contains("panicked"), "{what}");
        assert_eq!(everything(&sandbox.dir()), before, "something was touched: {what}");
    }
}

/// Writes this configuration in place of any other, as `cluster-control.conf` when it is JSON.
pub(crate) fn configure(sandbox: &Sandbox, text: impl AsRef<[u8]>) -> &'static str {
    let names = ["cluster-control.conf", "cluster-control.toml"];
    for name in names {
        let _ = fs::remove_file(sandbox.path(name));
    }
    let name = names[usize::from(text.as_ref().first() != Some(&b'{'))];
    sandbox.write(name, text);
    name
}

/// Runs commands on a configuration that each of them must refuse, naming the file.
pub(crate) fn refused(sandbox: &Sandbox, text: impl AsRef<[u8]>, commands: &[&[&str]], says: &[&str]) {
    let file = format!("{}: ", configure(sandbox, text));
    for command in commands {
        Case::new(command.iter()).ends(sandbox, 78, &[&[file.as_str()], says].concat());
    }
}

fn prepare(sandbox: &Sandbox) {
    for name in ["out.json", "db.json", "web.json"] {
        let path = sandbox.write(name, PRECIOUS);
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        fs::File::open(path).and_then(|file| file.set_modified(old)).expect("its own file");
    }
}

/// Every file below a directory, with its content and the time of its last change.
fn everything(directory: &Path) -> BTreeMap<OsString, (Vec<u8>, SystemTime)> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let about = entry.metadata().expect("an entry");
        if about.is_dir() {
            all.extend(everything(&entry.path()));
        } else {
            let content = fs::read(entry.path()).unwrap_or_default();
            all.insert(entry.path().into_os_string(), (content, about.modified().expect("a time")));
        }
    }
    all
}
