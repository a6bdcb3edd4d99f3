//! Which entry is the own one, for the commands of one start script: `heartbeat` registers, `watchkey` and `removekey` are
//! processes of their own and must not take a successor's entry for theirs.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use registry::{Index, Key, Lease};
use registry_handlers::{Mode, replace};

use crate::connecting::Session;
use crate::exit::{ERROR, Failure, Outcome};
use crate::runtime;

/// What stands before a lease that was given back.
const RELEASED: &str = "released ";

/// The place where the lease of the own entry is kept.
#[derive(Clone, Debug)]
pub(crate) struct Ownership {
    file: Option<PathBuf>,
}

/// What was left word of.
#[derive(Debug)]
pub(crate) struct Word {
    /// The last lease of the own entry.
    pub(crate) lease: Lease,
    /// It was given back, or taken away: what stands under the key since then is somebody else's.
    pub(crate) released: bool,
}

impl Ownership {
    /// One place for each container: its configuration file, its registry and its key.
    pub(crate) fn of(session: &Session, key: &Key) -> Self {
        let file = runtime::directory().map(|dir| {
            let mut hasher = DefaultHasher::new();
            let configuration =
                session.configuration.path.as_deref().map(|path| fs::canonicalize(path).unwrap_or(path.into()));
            (configuration, session.registry.info().endpoints, key.as_str()).hash(&mut hasher);
            dir.join(format!("lease-{:016x}", hasher.finish()))
        });
        Self { file }
    }

    /// Remembers the lease.
    pub(crate) fn remember(&self, lease: &Lease) {
        self.leave(&lease.to_line());
    }

    /// Remembers that the lease was given back. Not by forgetting it: without any word, `removekey` would take away what it
    /// finds, and a heartbeat that still runs would put back what it lost. Another run's word stays.
    pub(crate) fn release(&self, lease: &Lease) {
        if self.recall().is_some_and(|word| word.lease.token() != lease.token()) {
            return;
        }
        self.leave(&format!("{RELEASED}{}", lease.to_line()));
    }

    /// What was remembered last.
    pub(crate) fn recall(&self) -> Option<Word> {
        let file = self.file.as_ref()?;
        let text = fs::read_to_string(file).ok()?;
        let released = text.strip_prefix(RELEASED);
        let lease = Lease::restore(released.unwrap_or(&text));
        let lease = lease.inspect_err(|error| tracing::warn!("{}: {error}", file.display())).ok()?;
        Some(Word { lease, released: released.is_some() })
    }

    /// Whose end the last word is, if it is one. A command that finds it at its start finds an earlier run's.
    pub(crate) fn released(&self) -> Option<Index> {
        self.recall().filter(|word| word.released).map(|word| word.lease.token())
    }

    /// Without a place for it the entry is only less well protected, so that is a warning.
    fn leave(&self, line: &str) {
        let Some(file) = &self.file else {
            tracing::warn!(
                "no runtime directory (set XDG_RUNTIME_DIR): removekey will not know its own entry from a successor's"
            );
            return;
        };
        if let Err(error) = write(file, line) {
            tracing::warn!("cannot remember the lease: {error}");
        }
    }
}

/// Whole or not at all, and for nobody else to read.
fn write(file: &Path, line: &str) -> Outcome<()> {
    let dir = file.parent().unwrap_or(file);
    let created = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    created.map_err(|error| Failure::new(ERROR, format!("{}: {error}", dir.display())))?;
    Ok(replace(file, line, Mode::PRIVATE)?)
}
