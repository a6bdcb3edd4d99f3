//! Between the paths of the registry and the keys of the server, which have the prefix before them and no leading `/`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use registry_core::{Name, Scope};

/// Everything but what RFC 3986 calls unreserved, and the separator of segments: no spelling is left that the server
/// would clean up, which it does with a redirect.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The path that is put before every other one; may be empty.
#[derive(Clone, Debug)]
pub(crate) struct Prefix(String);

/// Where a key of the server is in a scope.
#[derive(Debug)]
pub(crate) enum Place {
    /// Elsewhere, or a folder that a person made: not a member, and nobody's fault.
    Outside,
    At(Name),
    /// Inside, under a name that is not allowed.
    Invalid(registry_core::Error),
}

impl Prefix {
    /// `prefix` is empty or an absolute path.
    pub(crate) fn new(prefix: String) -> Self {
        Self(prefix)
    }

    /// The key on the server.
    pub(crate) fn key(&self, path: &str) -> String {
        let whole = format!("{}{path}", self.0);
        whole.trim_start_matches('/').to_owned()
    }

    pub(crate) fn place(&self, scope: &Scope, key: &str) -> Place {
        // Consul's own pages make a folder by a key that ends with a `/`.
        if key.ends_with('/') {
            return Place::Outside;
        }
        let whole = format!("/{key}");
        let Some(path) = whole.strip_prefix(self.0.as_str()) else { return Place::Outside };
        match scope.name_of(path) {
            Ok(Some(name)) => Place::At(name),
            Ok(None) => Place::Outside,
            Err(error) => Place::Invalid(error),
        }
    }
}

/// A key as it stands in a URL.
pub(crate) fn encode(key: &str) -> String {
    utf8_percent_encode(key, ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use registry_core::Dir;

    use super::*;

    #[test]
    fn whole_segments_only_and_no_folders() {
        let scope = Scope::from(Dir::new("/a").unwrap());
        let place = |prefix: &str, key: &str| match Prefix::new(prefix.into()).place(&scope, key) {
            Place::At(name) => Some(name.to_string()),
            Place::Outside => None,
            Place::Invalid(_) => Some("invalid".into()),
        };
        assert_eq!(place("", "a/x").as_deref(), Some("x"));
        assert_eq!(place("/p", "p/a/x/y").as_deref(), Some("x/y"));
        assert_eq!(place("/p", "p/a/x y").as_deref(), Some("invalid"));
        for (prefix, key) in [("", "ab/x"), ("/p", "a/x"), ("/p", "pp/a/x"), ("", "a"), ("", "a/"), ("", "a/b/")] {
            assert_eq!(place(prefix, key), None, "{prefix} {key}");
        }
        assert_eq!(Prefix::new("/p".into()).key("/a/x"), "p/a/x");
        assert_eq!(Prefix::new(String::new()).key("/a/x"), "a/x");
    }

    #[test]
    fn every_key_has_one_spelling() {
        assert_eq!(encode("a/[fe80::1]:80+=~,@"), "a/%5Bfe80%3A%3A1%5D%3A80%2B%3D~%2C%40");
    }
}
