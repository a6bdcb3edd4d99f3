//! The members, and the file that shows them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use crate::Result;

pub(crate) enum Output {
    File { file: PathBuf, temporary: PathBuf, fsync: bool },
    Changes,
}

pub(crate) struct Members {
    members: BTreeMap<String, String>,
    output: Output,
}

impl Output {
    pub(crate) fn new(file: &str, fsync: bool) -> Self {
        match file {
            "-" => Self::Changes,
            file => Self::File { file: file.into(), temporary: format!("{file}.new").into(), fsync },
        }
    }
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
            Output::File { .. } => drop(self.members.insert(name.to_owned(), value.into_owned())),
            Output::Changes => writeln!(io::stdout(), "{name} {value}")?,
        }
        Ok(())
    }

    pub(crate) fn remove(&mut self, name: &str) -> Result<()> {
        match self.output {
            Output::File { .. } => drop(self.members.remove(name)),
            Output::Changes => writeln!(io::stdout(), "{name}")?,
        }
        Ok(())
    }

    /// Replaces the file.
    pub(crate) fn write(&self) -> Result<()> {
        let Output::File { file, temporary, fsync } = &self.output else { return Ok(()) };
        let mut bytes = serde_json::to_vec(&self.members)?;
        bytes.push(b'\n');
        let mut new = File::create(temporary)?;
        new.write_all(&bytes)?;
        if *fsync {
            new.sync_all()?;
        }
        fs::rename(temporary, file)?;
        Ok(())
    }
}
