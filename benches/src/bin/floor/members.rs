//! The members, and the file that shows them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;

use crate::Result;

pub(crate) enum Output {
    File(Target),
    Changes,
}

/// The file, and how carefully it is written.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) file: PathBuf,
    /// Waits until the disk has the file before it is put in place.
    pub(crate) fsync: bool,
    /// And then until the disk knows that it is in place.
    pub(crate) lasting: bool,
    /// Writes on another thread, so that this one never waits for the disk.
    pub(crate) aside: bool,
}

pub(crate) struct Members {
    members: BTreeMap<String, String>,
    output: Output,
}

impl Members {
    pub(crate) fn new(output: Output) -> Self {
        Self { members: BTreeMap::new(), output }
    }

    /// Forgets all of them; where only changes are printed there are none to forget.
    pub(crate) fn clear(&mut self) {
        self.members.clear();
    }

    pub(crate) fn put(&mut self, name: &str, value: &[u8]) -> Result<()> {
        let value = String::from_utf8_lossy(value);
        match self.output {
            Output::File(_) => drop(self.members.insert(name.to_owned(), value.into_owned())),
            Output::Changes => writeln!(io::stdout(), "{name} {value}")?,
        }
        Ok(())
    }

    pub(crate) fn remove(&mut self, name: &str) -> Result<()> {
        match self.output {
            Output::File(_) => drop(self.members.remove(name)),
            Output::Changes => writeln!(io::stdout(), "{name}")?,
        }
        Ok(())
    }

    /// Replaces the file.
    pub(crate) async fn write(&mut self) -> Result<()> {
        let Output::File(target) = &self.output else { return Ok(()) };
        if target.aside {
            let (target, members) = (target.clone(), std::mem::take(&mut self.members));
            let work = move || target.replace(&members).map(|()| members);
            self.members = spawn_blocking(work).await??;
        } else {
            target.replace(&self.members)?;
        }
        Ok(())
    }
}

impl Target {
    fn replace(&self, members: &BTreeMap<String, String>) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(members)?;
        bytes.push(b'\n');
        let temporary = self.file.with_extension("new");
        let mut new = File::create(&temporary)?;
        new.write_all(&bytes)?;
        if self.fsync {
            new.sync_all()?;
        }
        fs::rename(&temporary, &self.file)?;
        if self.lasting {
            let directory = self.file.parent().filter(|parent| !parent.as_os_str().is_empty());
            File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        Ok(())
    }
}
