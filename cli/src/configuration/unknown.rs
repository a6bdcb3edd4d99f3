//! Unknown keys, and what was probably meant.

/// Adds the nearest known key to a message of serde's about an unknown field.
pub(super) fn with_nearest(message: &str) -> String {
    let Some(at) = message.find("unknown field `").or_else(|| message.find("unknown variant `")) else {
        return message.to_owned();
    };
    let mut quoted = message[at..].split('`').skip(1).step_by(2);
    let Some(given) = quoted.next() else { return message.to_owned() };
    let near = quoted.map(|known| (strsim::jaro_winkler(given, known), known)).max_by(|a, b| a.0.total_cmp(&b.0));
    match near {
        Some((likeness, known)) if likeness > 0.7 => format!("{message}; did you mean `{known}`?"),
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_nearest() {
        let message = "unknown field `hearbeat`, expected one of `key`, `ttl`, `heartbeat`";
        assert!(with_nearest(message).ends_with("did you mean `heartbeat`?"));
        assert_eq!(with_nearest("unknown field `zzz`, expected `key`"), "unknown field `zzz`, expected `key`");
        assert_eq!(with_nearest("something else"), "something else");
    }
}
