//! Whose a file is, and who may read it.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::Path;

use super::Place;
use crate::error::{Error, Result};
use crate::spec::FileSpec;

/// What a new file gets when nobody says otherwise.
const DEFAULT_MODE: u32 = 0o644;

/// What a file is to have; `None` is left as it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes {
    mode: Option<u32>,
    owner: Option<u32>,
    group: Option<u32>,
}

impl Attributes {
    /// # Errors
    /// `Config` for a name that is not known here.
    pub(super) fn wanted(spec: &FileSpec) -> Result<Self> {
        Ok(Self {
            mode: spec.mode.map(crate::spec::Mode::bits),
            owner: spec.owner.as_deref().map(|name| number(name, "user", Path::new("/etc/passwd"))).transpose()?,
            group: spec.group.as_deref().map(|name| number(name, "group", Path::new("/etc/group"))).transpose()?,
        })
    }

    /// Who the file is to belong to, where that is said.
    pub(super) fn owner(self) -> Option<u32> {
        self.owner
    }

    /// With those of the existing file for what is not said.
    pub(super) fn or_those_of(self, place: &Place) -> Self {
        let there = place.existing.as_ref().map(|existing| &existing.metadata);
        let there_mode = there.map_or(DEFAULT_MODE, |there| there.mode() & 0o777);
        Self {
            mode: self.mode.or(Some(there_mode)),
            owner: self.owner.or(there.map(fs::Metadata::uid)),
            group: self.group.or(there.map(fs::Metadata::gid)),
        }
    }

    /// Gives them to a file, as far as it does not have them.
    pub(super) fn apply(self, file: &File) -> io::Result<()> {
        let now = file.metadata()?;
        let owner = self.owner.filter(|&owner| owner != now.uid());
        let group = self.group.filter(|&group| group != now.gid());
        if owner.is_some() || group.is_some() {
            fchown(file, owner, group)?;
        }
        match self.mode.filter(|&mode| mode != now.mode() & 0o7777) {
            Some(mode) => file.set_permissions(Permissions::from_mode(mode)),
            None => Ok(()),
        }
    }

    /// Corrects those of the existing file.
    pub(super) fn correct(self, place: &Place) -> io::Result<()> {
        place.existing.as_ref().map_or(Ok(()), |existing| self.apply(&existing.file))
    }
}

/// The number of a user or group. The names are looked up in the system's own files, without its name services: those of
/// an image without a C library have no others.
fn number(name: &str, what: &str, table: &Path) -> Result<u32> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let text = fs::read_to_string(table).unwrap_or_default();
    let found = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    });
    found.ok_or_else(|| {
        Error::config(format!("there is no {what} {name:?} in {}; a number can be used instead", table.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_names_and_takes_numbers() {
        let directory = tempfile::tempdir().unwrap();
        let table = directory.path().join("group");
        fs::write(&table, "root:x:0:\n\nbroken\nwww-data:x:33:a,b\n").unwrap();
        assert_eq!(number("www-data", "group", &table), Ok(33));
        assert_eq!(number("1000", "group", &table), Ok(1000));
        for wrong in ["www", "", "broken", "x"] {
            let error = number(wrong, "group", &table).unwrap_err();
            assert!(error.to_string().contains(&format!("{wrong:?}")), "{error}");
        }
    }
}
