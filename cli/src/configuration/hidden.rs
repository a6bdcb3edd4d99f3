//! Messages without values: a text in the wrong place may well be a URL with a password in it.

/// Takes the value out of a message of serde's about a text where something else is expected, and the name of a field or
/// variant that is no word: a quotation mark in the wrong place makes a name of a value.
pub(super) fn without_value(message: &str) -> String {
    without_text(&without_name(message))
}

fn without_name(message: &str) -> String {
    let start =
        ["unknown field `", "unknown variant `"].iter().find_map(|start| Some(message.find(start)? + start.len()));
    // The name itself may hold these words; those that are known do not.
    let end = ["`, expected ", "`, there are no "].iter().filter_map(|end| message.rfind(end)).max();
    match (start, end) {
        (Some(start), Some(end)) if end >= start && !is_word(&message[start..end]) => {
            format!("{}(not shown){}", &message[..start - 1], &message[end + 1..])
        }
        _ => message.to_owned(),
    }
}

fn is_word(name: &str) -> bool {
    name.len() <= 60 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

fn without_text(message: &str) -> String {
    let start = ["invalid type: string \"", "invalid value: string \""].iter().find_map(|start| {
        let at = message.find(start)?;
        Some(at + start.len() - 1)
    });
    // The value itself is escaped and may hold these words, so the last ones count.
    match (start, message.rfind("\", expected ")) {
        (Some(start), Some(end)) if end >= start => {
            format!("{}(not shown){}", &message[..start], &message[end + 1..])
        }
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_no_value() {
        for (value, place) in [("s3cret", ""), ("a\", expected s3cret", " at line 1 column 30"), ("", "")] {
            let message = format!("invalid type: string {value:?}, expected struct Etcd{place}");
            let wanted = format!("invalid type: string (not shown), expected struct Etcd{place}");
            assert_eq!(without_value(&message), wanted);
        }
        let message = "unknown field `a://u:s3cret@h`, expected one of `b`, `c` at line 1";
        assert_eq!(without_value(message), "unknown field (not shown), expected one of `b`, `c` at line 1");
        for message in ["invalid type: integer `5`, expected a string", "unknown field `a`, expected `b`", ""] {
            assert_eq!(without_value(message), message);
        }
    }
}
