//! The members of a cluster, shared between all who read them.

use registry_core::{Bytes, Name, NameMap};

/// The members of one cluster, sorted by name: each a name and a value. A clone costs nothing and never changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members(NameMap<Bytes>);

impl Members {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Bytes)> {
        self.0.iter()
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.0.names()
    }

    /// True when this is news.
    pub(crate) fn insert(&mut self, name: &Name, value: &Bytes) -> bool {
        // What is no news copies nothing.
        let news = self.0.get(name) != Some(value);
        if news {
            self.0.insert(name.clone(), value.clone());
        }
        news
    }

    /// True when it was there.
    pub(crate) fn remove(&mut self, name: &Name) -> bool {
        self.0.remove(name).is_some()
    }
}

impl FromIterator<(Name, Bytes)> for Members {
    fn from_iter<T: IntoIterator<Item = (Name, Bytes)>>(members: T) -> Self {
        Self(members.into_iter().collect())
    }
}
