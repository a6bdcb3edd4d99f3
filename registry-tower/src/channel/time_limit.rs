//! The time limit that a gRPC request carries.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

const HEADER: &str = "grpc-timeout";

/// The time limit of a request, if it has one that is valid.
pub(super) fn read(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(HEADER)?.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if number.is_empty() || number.len() > 8 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = number.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_hours(number),
        "M" => Duration::from_mins(number),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// Replaces the time limit by what is left of it, rounded down to eight digits.
pub(super) fn write(headers: &mut HeaderMap, left: Duration) {
    let units = [(left.as_micros(), "u"), (left.as_millis(), "m"), (left.as_secs().into(), "S")];
    let text = units.iter().find(|(number, _)| *number < 100_000_000).map(|(number, unit)| format!("{number}{unit}"));
    if let Some(value) = text.and_then(|text| HeaderValue::try_from(text).ok()) {
        headers.insert(HEADER, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read_and_nonsense_is_not() {
        let read = |text: &str| read(&HeaderMap::from_iter([(HEADER.parse().unwrap(), text.parse().unwrap())]));
        for (text, limit) in [
            ("2H", Duration::from_hours(2)),
            ("2M", Duration::from_mins(2)),
            ("2S", Duration::from_secs(2)),
            ("99999999m", Duration::from_millis(99_999_999)),
            ("250u", Duration::from_micros(250)),
            ("7n", Duration::from_nanos(7)),
        ] {
            assert_eq!(read(text), Some(limit), "{text}");
        }
        for text in ["", "S", "1", "1x", "-1S", "+1S", "123456789S", "1.5S"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut headers = HeaderMap::new();
        for limit in [Duration::ZERO, Duration::from_micros(1234), Duration::from_secs(5000), Duration::from_hours(90)]
        {
            write(&mut headers, limit);
            assert_eq!(read(&headers), Some(limit));
        }
        write(&mut headers, Duration::from_secs(100_000_000));
        assert_eq!(read(&headers), Some(Duration::from_hours(90)), "too long for its digits: left as it was");
    }
}
