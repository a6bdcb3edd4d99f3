//! Where the store is.

use std::env;
use std::path::{Path, PathBuf};

use registry_core::{Error, Result};

/// Where the store is, and how much it remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The file of the store.
    pub path: PathBuf,
    /// How many changes the history keeps at least.
    pub history: u64,
    /// Only reads, whatever this user may do. See [`read_only`](Self::read_only).
    pub read_only: bool,
}

impl Config {
    /// A store in this file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), history: 10_000, read_only: false }
    }

    /// The store of this user on this machine: `cluster-control/registry.db` below `$XDG_RUNTIME_DIR`, or below `/run`
    /// for root. Never `/tmp`, where anybody could have put it.
    ///
    /// # Errors
    /// `Config` when there is no such directory; the message says what to set.
    pub fn of_user() -> Result<Self> {
        let runtime = match env::var_os("XDG_RUNTIME_DIR") {
            Some(dir) if Path::new(&dir).is_absolute() => PathBuf::from(dir),
            _ if rustix::process::geteuid().is_root() => PathBuf::from("/run"),
            _ => {
                return Err(Error::config(
                    "there is no runtime directory for the embedded store: set XDG_RUNTIME_DIR, or name a file with \
                     sqlite:///path/to/registry.db",
                ));
            }
        };
        Ok(Self::new(runtime.join("cluster-control/registry.db")))
    }

    /// Reads `sqlite:///path/to/file.db`, with `?read_only=true` after it or not; `sqlite:` alone means the user's own store.
    ///
    /// # Errors
    /// `Config`; the message says what is wrong with the URL.
    pub fn from_uri(uri: &str) -> Result<Self> {
        let Some(rest) = uri.strip_prefix("sqlite:") else {
            return Err(Error::config(format!("{uri:?} does not begin with `sqlite:`")));
        };
        if rest.is_empty() {
            return Self::of_user();
        }
        let authority = rest.strip_prefix("//").and_then(|rest| rest.split('/').next()).unwrap_or_default();
        if authority.contains('@') {
            // Not repeated: what stands before the `@` was meant to be a password.
            return Err(Error::config(
                "an embedded store has no user and no password: write sqlite:///path/to/file.db",
            ));
        }
        let (rest, read_only) = match rest.split_once(['?', '#']) {
            None => (rest, false),
            Some((rest, "read_only=true")) => (rest, true),
            Some((rest, "read_only=false")) => (rest, false),
            Some(_) => {
                return Err(Error::config(format!(
                    "{uri:?}: the only option of an embedded store is read_only, true or false; write \
                     sqlite:///path/to/file.db?read_only=true"
                )));
            }
        };
        match rest.strip_prefix("//") {
            Some(path) if path.starts_with('/') && !path.ends_with('/') => Ok(Self::new(path).read_only(read_only)),
            _ => Err(Error::config(format!(
                "{uri:?} names no file: write sqlite:///path/to/file.db, with three slashes"
            ))),
        }
    }

    /// Sets how many changes the history keeps at least.
    pub fn history(mut self, changes: u64) -> Self {
        self.history = changes.max(1);
        self
    }

    /// Sets whether the store is only read, also where this user may write it. Then its file may be another user's, nothing is made,
    /// and whatever writes is refused with `PermissionDenied`.
    ///
    /// It costs that nobody is removed by this process: with no process alive that may write the store, the members that died
    /// are listed until one comes. Without this, a store that this user may read but not write is opened so as well.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_urls() {
        assert_eq!(Config::from_uri("sqlite:///run/x.db").unwrap().path, Path::new("/run/x.db"));
        for (uri, read_only) in
            [("sqlite:///run/x.db?read_only=true", true), ("sqlite:///run/x.db?read_only=false", false)]
        {
            assert_eq!(Config::from_uri(uri).unwrap(), Config::new("/run/x.db").read_only(read_only));
        }
        let error = Config::from_uri("sqlite://me:s3cret@h/x.db").expect_err("it has a password");
        assert!(!error.to_string().contains("s3cret"), "{error}");
        for uri in [
            "sqlite://",
            "sqlite://x.db",
            "sqlite:x.db",
            "sqlite:///",
            "sqlite:///x.db?mode=ro",
            "sqlite:///x.db?read_only",
            "etcd://h",
        ] {
            let error = Config::from_uri(uri).expect_err(uri);
            assert!(error.to_string().contains(uri), "{error}");
        }
    }
}
