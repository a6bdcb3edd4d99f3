//! From the bytes of an entry to what they mean.

use std::fmt;

use registry_core::{Bytes, Entry, Error, MAX_VALUE, Name, Result};

/// How an item is written as an entry, and read from one.
///
/// # Contract
///
/// *Pure*: equal entries give equal items; no input or output, no clock. *Total*: an entry may hold anything, as anybody may
/// have written it; what is not an item is an error, never a panic. *Round trip*: what was encoded under a name decodes
/// to the same item.
pub trait Codec: fmt::Debug + Send + Sync + 'static {
    /// What an entry means.
    type Item: Clone + fmt::Debug + PartialEq + Send + Sync + 'static;

    /// Reads an item.
    ///
    /// # Errors
    /// `InvalidInput`, naming the entry.
    fn decode(&self, entry: &Entry) -> Result<Self::Item>;

    /// The value of the entry `name` that means this item.
    ///
    /// # Errors
    /// `InvalidInput`, when the layout cannot express the item, or not under this name.
    fn encode(&self, name: &Name, item: &Self::Item) -> Result<Bytes>;
}

/// The bytes as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Raw;

impl Codec for Raw {
    type Item = Bytes;

    fn decode(&self, entry: &Entry) -> Result<Bytes> {
        Ok(entry.value.clone())
    }

    fn encode(&self, name: &Name, item: &Bytes) -> Result<Bytes> {
        check_size(name, item).map(|()| item.clone())
    }
}

/// The value as text.
pub(super) fn text(entry: &Entry) -> Result<&str> {
    check_size(&entry.name, &entry.value)?;
    std::str::from_utf8(&entry.value).map_err(|_| broken(&entry.name, "its value is not UTF-8"))
}

pub(super) fn check_size(name: &Name, value: &[u8]) -> Result<()> {
    if value.len() > MAX_VALUE {
        return Err(broken(name, format!("its value has {} bytes, and {MAX_VALUE} are allowed", value.len())));
    }
    Ok(())
}

/// Names the entry. Names are short and harmless, as they were checked when they were made.
pub(super) fn broken(name: &Name, what: impl fmt::Display) -> Error {
    let mut what = what.to_string();
    if let Some((cut, _)) = what.char_indices().nth(300) {
        what.truncate(cut);
        what.push('…');
    }
    Error::invalid_input(format!("the entry {name}: {what}"))
}
