//! Durations as people write them.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// Every unit, and how many milliseconds it has.
const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Reads a duration: whole numbers, each with its unit, such as `500ms`, `10s`, `2m`, `1h30m` or `1d`.
///
/// A number without a unit is refused: it means seconds in one tool and milliseconds in the next. So is more than a
/// thousand years, which would overflow a clock.
///
/// ```
/// use std::time::Duration;
/// use registry_handlers::parse_duration;
/// assert_eq!(parse_duration("1m30s"), Ok(Duration::from_secs(90)));
/// assert!(parse_duration("10").is_err());
/// ```
///
/// # Errors
/// A sentence that shows the text and says how to write it.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || {
        let shown = crate::text::shown(text, 40);
        format!("{shown:?} is not a duration: write a number and its unit (ms, s, m, h, d), such as 500ms, 10s or 2m")
    };
    let mut rest = text.trim();
    let mut total = 0_u64;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        let (number, unit) = (&rest[..digits], &rest[digits..digits + letters]);
        let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor).ok_or_else(wrong)?;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        total = number.checked_mul(factor).and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
        rest = &rest[digits + letters..];
    }
    if total > 1000 * 365 * 86_400_000 { Err(wrong()) } else { Ok(Duration::from_millis(total)) }
}

/// For serde: a duration written as text.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_people_write() {
        for (text, milliseconds) in
            [("0s", 0), ("200ms", 200), ("10s", 10_000), ("2m", 120_000), ("1h30m", 5_400_000), (" 1d ", 86_400_000)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn refuses_what_could_be_misread() {
        for text in
            ["", " ", "10", "s", "1.5s", "-1s", "+1s", "1 s", "1s 2m x", "1S", "1min", "9999999999999d", "１s", "1s\n2"]
        {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
        assert!(parse_duration("18446744073709551615d").is_err());
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,40}") {
            let _ = parse_duration(&text);
        }
    }
}
