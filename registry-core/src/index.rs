//! Points in a backend's history.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// A point in one backend's history, such as an etcd revision.
///
/// Positions are comparable only inside one epoch: the identity of the history (a cluster id, a store's generation).
/// A store that was wiped or restored has another epoch. Epoch 0 means "not known"; it agrees with every epoch, so
/// that a bare integer, as the start scripts pass it around, can be used.
///
/// Prints as `42`; parses `42` and `epoch@42`. `{:#}` prints the epoch too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Index {
    epoch: u64,
    position: u64,
}

impl Index {
    /// The point `position` of the history `epoch`.
    pub const fn new(epoch: u64, position: u64) -> Self {
        Self { epoch, position }
    }

    /// The identity of the history; 0 when it is not known.
    pub const fn epoch(self) -> u64 {
        self.epoch
    }

    /// The place in the history; it grows with every change.
    pub const fn position(self) -> u64 {
        self.position
    }

    /// True when both may belong to one history.
    pub const fn same_epoch(self, other: Self) -> bool {
        self.epoch == other.epoch || self.epoch == 0 || other.epoch == 0
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            write!(f, "{}@", self.epoch)?;
        }
        write!(f, "{}", self.position)
    }
}

impl FromStr for Index {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (epoch, position) = text.split_once('@').unwrap_or(("0", text));
        let (Some(epoch), Some(position)) = (number(epoch), number(position)) else {
            let shown: String = text.chars().take(40).collect();
            return Err(Error::invalid_input(format!("index {shown:?} is not valid: write `42` or `epoch@42`")));
        };
        Ok(Self { epoch, position })
    }
}

/// Digits only: `u64::from_str` would also take a leading `+`.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_parses() {
        let index = Index::new(7, 42);
        assert_eq!(index.to_string(), "42");
        assert_eq!(format!("{index:#}"), "7@42");
        assert_eq!("7@42".parse::<Index>().unwrap(), index);
        assert!("42".parse::<Index>().unwrap().same_epoch(index));
        for text in ["", "x", "-1", "+1", "1.5", "@", "1@", "99999999999999999999", " 1", "[debug] 3\n42"] {
            assert!(text.parse::<Index>().is_err(), "{text:?}");
        }
    }
}
