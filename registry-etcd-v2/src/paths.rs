//! Between the paths of the registry and those of the server, which have the prefix before them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use registry_core::{Name, Scope};

/// Everything but what RFC 3986 calls unreserved, and the separator of segments. What is left out has one spelling
/// only, so neither a proxy nor the server has anything to clean up (and to answer with a redirect).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The path that is put before every other one; may be empty.
#[derive(Clone, Debug)]
pub(crate) struct Prefix(String);

/// A name that an entry on the server has in a scope.
pub(crate) enum Place {
    /// Elsewhere, or hidden: not a member, and nobody's fault.
    Outside,
    /// Inside.
    At(Name),
    /// Inside, under a name that is not allowed.
    Invalid(registry_core::Error),
}

impl Prefix {
    pub(crate) fn new(prefix: String) -> Self {
        Self(prefix)
    }

    /// The path on the server.
    pub(crate) fn on_server(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// Where the server's `path` is in `scope`. Prefixes are compared by whole segments: the server's own history is
    /// not as careful, and tells a watcher of `/foobar` that `/foo` was deleted.
    pub(crate) fn place(&self, scope: &Scope, path: &str) -> Place {
        let Some(path) = path.strip_prefix(self.0.as_str()) else { return Place::Outside };
        // Hidden below the scope; the server does not list such keys, and yet tells them from its history.
        let below = path.strip_prefix(scope.path()).unwrap_or(path);
        if below.split('/').any(|segment| segment.starts_with('_')) {
            return Place::Outside;
        }
        match scope.name_of(path) {
            Ok(Some(name)) => Place::At(name),
            Ok(None) => Place::Outside,
            Err(error) => Place::Invalid(error),
        }
    }
}

/// True when `path` is `directory` or lies in it.
pub(crate) fn is_within(path: &str, directory: &str) -> bool {
    match path.strip_prefix(directory) {
        Some(rest) => rest.is_empty() || rest.starts_with('/') || directory.ends_with('/'),
        None => false,
    }
}

/// The path as it stands in a URL.
pub(crate) fn encode(path: &str) -> String {
    utf8_percent_encode(path, ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use registry_core::Dir;

    use super::*;

    fn place(prefix: &str, path: &str) -> Option<String> {
        let scope = Scope::from(Dir::new("/a").unwrap());
        match Prefix::new(prefix.into()).place(&scope, path) {
            Place::At(name) => Some(name.to_string()),
            Place::Outside => None,
            Place::Invalid(_) => Some("invalid".into()),
        }
    }

    #[test]
    fn whole_segments_only_and_nothing_hidden() {
        assert_eq!(place("", "/a/x").as_deref(), Some("x"));
        assert_eq!(place("/p", "/p/a/x/y").as_deref(), Some("x/y"));
        assert_eq!(place("/p", "/p/a/x y").as_deref(), Some("invalid"));
        for (prefix, path) in
            [("", "/ab/x"), ("/p", "/a/x"), ("/p", "/pp/a/x"), ("", "/a"), ("", "/a/_x"), ("", "/a/x/_y/z")]
        {
            assert_eq!(place(prefix, path), None, "{prefix} {path}");
        }
    }

    #[test]
    fn a_directory_holds_itself_and_what_is_below() {
        assert!(is_within("/a/b", "/a") && is_within("/a", "/a") && is_within("/a", "/"));
        assert!(!is_within("/ab", "/a") && !is_within("/a", "/a/b"));
    }

    #[test]
    fn every_key_has_one_spelling() {
        assert_eq!(encode("/a/[fe80::1]:80+=~,@"), "/a/%5Bfe80%3A%3A1%5D%3A80%2B%3D~%2C%40");
    }
}
