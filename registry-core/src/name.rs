//! Names and paths: what may be called an entry, and where it lives.
//!
//! Every name is checked when it is made, so that no backend ever sees a path that a server would clean up, split
//! or redirect (etcd v2 and Consul answer `a/../b` with a redirect to *another* key).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::{Error, Result};

/// The longest segment of a path, in bytes.
pub const MAX_SEGMENT: usize = 255;
/// The longest whole path, in bytes.
pub const MAX_PATH: usize = 512;

/// A directory: an absolute path such as `/clusters/redis`.
///
/// Prefixes always match whole segments: `/a` never contains `/ab/x`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dir(Arc<str>);

/// The name of an entry, relative to the directory that is listed or watched.
///
/// Usually one segment (`10.0.0.9:3306`); it holds `/` when the entry lives deeper than the watched directory.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

/// The full path of an entry: a directory and a name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    path: Arc<str>,
    /// Where the name begins in `path`.
    split: usize,
}

/// What is listed or watched: all entries below a directory, or one entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Every entry below the directory, at any depth.
    Directory(Dir),
    /// One entry; its name in snapshots and changes is the key's own name.
    Entry(Key),
}

impl Dir {
    /// Checks and makes a directory from an absolute path.
    ///
    /// # Errors
    /// `InvalidInput`, naming the path and the rule that it breaks.
    pub fn new(path: &str) -> Result<Self> {
        check_path(path, "directory")?;
        Ok(Self(path.into()))
    }

    /// The absolute path, without a final `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A directory below this one.
    ///
    /// # Errors
    /// `InvalidInput` when `path` is not a valid relative path.
    pub fn join(&self, path: &str) -> Result<Self> {
        Self::new(&format!("{}/{path}", self.0))
    }

    /// The key of the entry `name` in this directory.
    ///
    /// # Errors
    /// `InvalidInput` when the name is not valid, or the path becomes too long.
    pub fn key(&self, name: &str) -> Result<Key> {
        Key::new(self, &Name::new(name)?)
    }

    /// The part of an absolute path below this directory, or `None` when the path is elsewhere.
    pub fn strip<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(&*self.0)?.strip_prefix('/').filter(|rest| !rest.is_empty())
    }
}

impl Name {
    /// Checks and makes a name: one or more segments that are joined by `/`, without a leading or final `/`.
    ///
    /// # Errors
    /// `InvalidInput`, naming the rule that is broken.
    pub fn new(name: &str) -> Result<Self> {
        check_length(name, "name")?;
        check_segments(name, name, "name")?;
        Ok(Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True when the entry lives in a directory below the watched one. Such entries are not members.
    pub fn is_nested(&self) -> bool {
        self.0.contains('/')
    }
}

impl Key {
    /// The key of `name` in `dir`.
    ///
    /// # Errors
    /// `InvalidInput` when the whole path is too long.
    pub fn new(dir: &Dir, name: &Name) -> Result<Self> {
        let path = format!("{dir}/{name}");
        check_length(&path, "key")?;
        Ok(Self { path: path.into(), split: dir.0.len() + 1 })
    }

    /// Checks and makes a key from an absolute path; the last segment is the name.
    ///
    /// # Errors
    /// `InvalidInput` when the path is not valid, or has no directory.
    pub fn parse(path: &str) -> Result<Self> {
        check_path(path, "key")?;
        match path.rfind('/') {
            Some(at) if at > 0 => Ok(Self { path: path.into(), split: at + 1 }),
            _ => Err(invalid("key", path, "it needs a directory and a name, such as `/clusters/web/10.0.0.1:80`")),
        }
    }

    /// The absolute path.
    pub fn as_str(&self) -> &str {
        &self.path
    }

    /// The directory part.
    pub fn dir(&self) -> Dir {
        Dir(self.path[..self.split - 1].into())
    }

    /// The name part.
    pub fn name(&self) -> Name {
        Name(self.path[self.split..].into())
    }
}

impl Scope {
    /// The absolute path of the directory or entry.
    pub fn path(&self) -> &str {
        match self {
            Scope::Directory(dir) => dir.as_str(),
            Scope::Entry(key) => key.as_str(),
        }
    }

    /// The name that the entry at an absolute path has in this scope; `None` when it is outside.
    ///
    /// # Errors
    /// `InvalidInput` when the path is inside but holds what a name may not; the caller reports and skips it.
    pub fn name_of(&self, path: &str) -> Result<Option<Name>> {
        match self {
            Scope::Directory(dir) => dir.strip(path).map(Name::new).transpose(),
            Scope::Entry(key) => Ok((path == key.as_str()).then(|| key.name())),
        }
    }
}

impl Scope {
    /// The key of the entry that has this name in this scope; `None` when it can have no such entry.
    pub fn key_of(&self, name: &Name) -> Option<Key> {
        match self {
            Scope::Directory(dir) => Key::new(dir, name).ok(),
            Scope::Entry(key) => (key.name() == *name).then(|| key.clone()),
        }
    }
}

impl From<Dir> for Scope {
    fn from(dir: Dir) -> Self {
        Scope::Directory(dir)
    }
}

impl From<&Dir> for Scope {
    fn from(dir: &Dir) -> Self {
        Scope::Directory(dir.clone())
    }
}

impl From<Key> for Scope {
    fn from(key: Key) -> Self {
        Scope::Entry(key)
    }
}

impl From<&Key> for Scope {
    fn from(key: &Key) -> Self {
        Scope::Entry(key.clone())
    }
}

macro_rules! text {
    ($type:ident, $parse:path) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.as_str())
            }
        }
        impl FromStr for $type {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self> {
                $parse(text)
            }
        }
    };
}
text!(Dir, Dir::new);
text!(Name, Name::new);
text!(Key, Key::parse);

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path())
    }
}

fn check_path(path: &str, what: &str) -> Result<()> {
    check_length(path, what)?;
    match path.strip_prefix('/') {
        None => Err(invalid(what, path, "it must begin with `/`")),
        Some("") => Err(invalid(what, path, "the root itself is not allowed; name a directory below it")),
        Some(rest) => check_segments(rest, path, what),
    }
}

fn check_length(path: &str, what: &str) -> Result<()> {
    if path.len() > MAX_PATH {
        let rule = format!("it has {} bytes, and {MAX_PATH} are allowed", path.len());
        return Err(invalid(what, path, &rule));
    }
    Ok(())
}

fn check_segments(path: &str, whole: &str, what: &str) -> Result<()> {
    path.split('/').try_for_each(|segment| check_segment(segment).map_err(|rule| invalid(what, whole, &rule)))
}

/// The rule for one segment. It leaves out what a server, a URL, a shell or an output format would read as syntax.
fn check_segment(segment: &str) -> std::result::Result<(), String> {
    let Some(first) = segment.chars().next() else {
        return Err("it has an empty segment (a `/` too many)".into());
    };
    if segment.len() > MAX_SEGMENT {
        return Err(format!("a segment has {} bytes, and {MAX_SEGMENT} are allowed", segment.len()));
    }
    if !(first.is_ascii_alphanumeric() || first == '[') {
        // `.` and `..` are cleaned away by servers; `_` hides an entry on etcd v2.
        return Err(format!("a segment begins with {first:?}; begin with a letter or digit"));
    }
    match segment.chars().find(|c| !(c.is_ascii_alphanumeric() || "._-:@+=~,[]".contains(*c))) {
        Some(c) => Err(format!("it holds {c:?}; allowed are letters, digits and `. _ - : @ + = ~ , [ ]`")),
        None => Ok(()),
    }
}

fn invalid(what: &str, text: &str, rule: &str) -> Error {
    // A hostile name may be long and hold control characters: it is shortened, and `{:?}` escapes it.
    let shown: String = text.chars().take(64).collect();
    let cut = if shown.len() < text.len() { "…" } else { "" };
    Error::invalid_input(format!("{what} {shown:?}{cut} is not valid: {rule}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_names_that_people_use() {
        for name in ["10.0.0.9:3306", "[fe80::1]:80", "host:container:3306", "a", "node-1.example", "a/b"] {
            assert_eq!(Name::new(name).expect(name).as_str(), name);
        }
    }

    #[test]
    fn refuses_what_a_server_would_rewrite() {
        let long = "a".repeat(10_000);
        for name in ["", ".", "..", "a/../b", "a//b", "/a", "a/", "_hidden", "a\0b", "a\nb", "a b", "a%2Fb", "é", &long]
        {
            let error = Name::new(name).expect_err(name);
            assert_eq!(error.kind(), crate::ErrorKind::InvalidInput);
            assert!(error.to_string().len() < 400, "{error}");
            assert!(!error.to_string().contains('\n'));
        }
    }

    #[test]
    fn prefixes_match_whole_segments() {
        let dir = Dir::new("/a").unwrap();
        assert_eq!(dir.strip("/a/b/c"), Some("b/c"));
        assert_eq!(dir.strip("/ab/c"), None);
        assert_eq!(dir.strip("/a"), None);
        assert_eq!(dir.strip("/a/"), None);
    }

    #[test]
    fn a_key_is_its_directory_and_its_name() {
        let key = Key::parse("/clusters/web/1:80").unwrap();
        assert_eq!((key.dir().as_str(), key.name().as_str()), ("/clusters/web", "1:80"));
        assert_eq!(Key::new(&key.dir(), &key.name()).unwrap(), key);
        assert!(Key::parse("/alone").is_err());
        let scope = Scope::from(&key);
        assert_eq!(scope.name_of("/clusters/web/1:80").unwrap().unwrap().as_str(), "1:80");
        assert_eq!(scope.name_of("/clusters/web/1:800").unwrap(), None);
    }
}
