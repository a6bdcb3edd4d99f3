//! A sorted map from names, shared between all who read it.

use std::fmt;
use std::slice;
use std::sync::Arc;

use crate::name::Name;

/// So many entries are copied for a change while somebody keeps the state before it.
const CHUNK: usize = 128;

/// What is known by name, sorted by name.
///
/// A clone shares all of it, and a later change copies only what is near it. So everybody can keep the state that he works
/// on, and a change in a large directory costs little more than one in a small directory.
#[derive(Clone)]
pub struct NameMap<V> {
    /// None is empty, and none has more than `CHUNK`.
    chunks: Arc<Vec<Chunk<V>>>,
    count: usize,
}

type Chunk<V> = Arc<Vec<(Name, V)>>;

impl<V> NameMap<V> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// What is known by this name.
    pub fn get(&self, name: &Name) -> Option<&V> {
        let chunk = self.chunks.get(self.chunk_of(name))?;
        find(chunk, name).ok().map(|at| &chunk[at].1)
    }

    /// All of it, in the order of the names.
    pub fn iter(&self) -> Iter<'_, V> {
        Iter { chunks: self.chunks.iter(), chunk: [].iter(), left: self.count }
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.iter().map(|(name, _)| name)
    }

    /// All that is known, in the order of the names.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// Where a name is, or would be.
    fn chunk_of(&self, name: &Name) -> usize {
        self.chunks.partition_point(|chunk| chunk[0].0 <= *name).saturating_sub(1)
    }
}

impl<V: Clone> NameMap<V> {
    /// Puts something in, and returns what was there before.
    pub fn insert(&mut self, name: Name, value: V) -> Option<V> {
        let at = self.chunk_of(&name);
        let chunks = Arc::make_mut(&mut self.chunks);
        if chunks.is_empty() {
            chunks.push(Arc::default());
        }
        let chunk = Arc::make_mut(&mut chunks[at]);
        let place = match find(chunk, &name) {
            Ok(place) => return Some(std::mem::replace(&mut chunk[place].1, value)),
            Err(place) => place,
        };
        chunk.insert(place, (name, value));
        if chunk.len() > CHUNK {
            let rest = chunk.split_off(CHUNK / 2);
            chunks.insert(at + 1, Arc::new(rest));
        }
        self.count += 1;
        None
    }

    /// Takes something out, and returns it.
    pub fn remove(&mut self, name: &Name) -> Option<V> {
        let at = self.chunk_of(name);
        let place = find(self.chunks.get(at)?, name).ok()?;
        let chunks = Arc::make_mut(&mut self.chunks);
        let (_, value) = Arc::make_mut(&mut chunks[at]).remove(place);
        self.count -= 1;
        if chunks[at].is_empty() {
            chunks.remove(at);
        } else {
            join(chunks, at);
            join(chunks, at.saturating_sub(1));
        }
        Some(value)
    }
}

/// A map that has shrunk has few chunks again.
fn join<V: Clone>(chunks: &mut Vec<Chunk<V>>, at: usize) {
    let [chunk, next, ..] = &mut chunks[at..] else { return };
    if chunk.len() + next.len() <= CHUNK / 2 {
        Arc::make_mut(chunk).extend_from_slice(next);
        chunks.remove(at + 1);
    }
}

fn find<V>(chunk: &[(Name, V)], name: &Name) -> Result<usize, usize> {
    chunk.binary_search_by(|(known, _)| known.cmp(name))
}

/// Of two with one name, the later is taken.
impl<V> FromIterator<(Name, V)> for NameMap<V> {
    fn from_iter<T: IntoIterator<Item = (Name, V)>>(all: T) -> Self {
        let mut all: Vec<_> = all.into_iter().collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        all.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
        let count = all.len();
        let mut chunks = Vec::with_capacity(count.div_ceil(CHUNK));
        let mut all = all.into_iter().peekable();
        while all.peek().is_some() {
            chunks.push(Arc::new(all.by_ref().take(CHUNK).collect()));
        }
        Self { chunks: Arc::new(chunks), count }
    }
}

impl<V> Default for NameMap<V> {
    fn default() -> Self {
        Self { chunks: Arc::default(), count: 0 }
    }
}

impl<V: PartialEq> PartialEq for NameMap<V> {
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count && (Arc::ptr_eq(&self.chunks, &other.chunks) || self.iter().eq(other.iter()))
    }
}

impl<V: Eq> Eq for NameMap<V> {}

impl<V: fmt::Debug> fmt::Debug for NameMap<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<'a, V> IntoIterator for &'a NameMap<V> {
    type Item = (&'a Name, &'a V);
    type IntoIter = Iter<'a, V>;

    fn into_iter(self) -> Iter<'a, V> {
        self.iter()
    }
}

/// Iterates over a [`NameMap`] in the order of the names.
#[derive(Debug)]
pub struct Iter<'a, V> {
    chunks: slice::Iter<'a, Chunk<V>>,
    chunk: slice::Iter<'a, (Name, V)>,
    left: usize,
}

impl<'a, V> Iterator for Iter<'a, V> {
    type Item = (&'a Name, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((name, value)) = self.chunk.next() {
                self.left -= 1;
                return Some((name, value));
            }
            self.chunk = self.chunks.next()?.iter();
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<V> ExactSizeIterator for Iter<'_, V> {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn name(number: u16) -> Name {
        Name::new(&format!("m{number}")).unwrap()
    }

    proptest! {
        /// The judge is the standard library's map.
        #[test]
        fn is_a_sorted_map(
            first in proptest::collection::vec((0_u16..600, any::<u8>()), 0..400),
            steps in proptest::collection::vec((0_u16..600, any::<bool>(), any::<u8>()), 0..500),
        ) {
            let first = first.into_iter().map(|(number, value)| (name(number), value));
            let mut known: BTreeMap<_, _> = first.clone().collect();
            let mut map: NameMap<_> = first.collect();
            for (number, here, value) in steps {
                let name = name(number);
                let (before, kept) = (map.clone(), known.clone());
                if here {
                    prop_assert_eq!(map.insert(name.clone(), value), known.insert(name.clone(), value));
                } else {
                    prop_assert_eq!(map.remove(&name), known.remove(&name));
                }
                prop_assert_eq!(map.get(&name), known.get(&name));
                prop_assert_eq!(map == before, known == kept);
                prop_assert_eq!((map.len(), map.iter().len()), (known.len(), known.len()));
                prop_assert!(map.chunks.iter().all(|chunk| (1..=CHUNK).contains(&chunk.len())));
                prop_assert!(before.iter().eq(kept.iter()), "what somebody keeps has changed");
            }
            prop_assert!(map.iter().eq(known.iter()));
            prop_assert_eq!(map, known.into_iter().collect::<NameMap<_>>());
        }
    }

    #[test]
    fn a_change_copies_what_is_near_it_and_nothing_else() {
        let mut map: NameMap<_> = (0..10_000).map(|number| (name(number), 0)).collect();
        let before = map.clone();
        map.insert(name(5_000), 1);
        let shared = map.chunks.iter().zip(before.chunks.iter()).filter(|(one, other)| Arc::ptr_eq(one, other));
        assert_eq!(shared.count(), before.chunks.len() - 1);
        for number in (0..10_000).filter(|number| number % 100 != 0) {
            map.remove(&name(number));
        }
        assert!(map.chunks.len() <= 8, "a map that has shrunk has {} chunks", map.chunks.len());
    }
}
