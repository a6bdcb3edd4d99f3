//! The permissions of a file.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

/// The permissions of a file, written as octal text such as `"0640"`.
///
/// A bare number is refused: `mode = 640` would mean 01200.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mode(u32);

impl Mode {
    /// Only the owner reads and writes: `0600`.
    pub const PRIVATE: Self = Self(0o600);
    /// Everybody reads, the owner writes: `0644`.
    pub const READABLE: Self = Self(0o644);

    /// As the system wants it.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl FromStr for Mode {
    type Err = String;

    /// # Errors
    /// When it is not three octal digits, with or without zeros before them. There is no use for the other bits here.
    fn from_str(text: &str) -> Result<Self, String> {
        let octal = (3..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        let bits = u32::from_str_radix(text, 8).ok().filter(|&bits| octal && bits <= 0o777);
        bits.map(Self).ok_or_else(|| {
            format!("{:?} is not a mode: write it as text, such as \"0640\"", crate::text::shown(text, 20))
        })
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_octal_text() {
        assert_eq!("0640".parse::<Mode>().unwrap().bits(), 0o640);
        assert_eq!("600".parse::<Mode>().unwrap().bits(), 0o600);
        for text in ["", "640x", "0o640", "0888", "4755", "01777", "-600", "+600", "7", "rw-r--r--"] {
            assert!(text.parse::<Mode>().is_err(), "{text}");
        }
    }
}
