//! A text that is never printed.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use registry_core::{Error, Result};

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Reads a file that holds it; `what` it is, such as `password`, stands in messages. A final newline does not count.
    ///
    /// # Errors
    /// `Config`, naming the file.
    pub fn read(what: &str, file: &Path) -> Result<Self> {
        let wrong = |why: &str| Error::config(format!("the {what} file {}: {why}", file.display()));
        let text = std::fs::read(file).map_err(|error| wrong("cannot read it").because(error))?;
        // Not the library's own error, which could show what it has read.
        let text = String::from_utf8(text).map_err(|_| wrong("it is not UTF-8"))?;
        let secret = match text.trim_end_matches(['\r', '\n']) {
            "" => return Err(wrong("it is empty")),
            secret => Self::from(secret),
        };
        let mode = std::fs::metadata(file).map_or(0, |about| about.permissions().mode());
        if mode & 0o004 != 0 {
            let file = file.display();
            tracing::warn!(%file, "everybody on this machine can read the {what}: set the file's mode to 0600");
        }
        Ok(secret)
    }

    /// The text, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_from_a_file_that_errors_name() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("password");
        let error = || Secret::read("password", &file).unwrap_err().to_string();
        assert!(error().contains(file.to_str().unwrap()), "{}", error());
        std::fs::write(&file, "p w\n").unwrap();
        assert_eq!(Secret::read("password", &file).unwrap().reveal(), "p w");
        std::fs::write(&file, "\n").unwrap();
        assert!(error().contains("empty"), "{}", error());
        std::fs::write(&file, b"canary\xff").unwrap();
        assert!(error().contains("UTF-8") && !error().contains("canary"), "{}", error());
    }
}
