//! Text from outside, made fit for a message.

/// The first `limit` characters, with control characters escaped: what a hostile member or command wrote may end up on a
/// terminal.
pub(crate) fn shown(text: &str, limit: usize) -> String {
    let mut shown = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == limit {
            shown.push('…');
            break;
        }
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn is_short_and_harmless() {
        assert_eq!(shown("a\u{1b}[31m\nb", 100), "a\\u{1b}[31m\\nb");
        assert_eq!(shown("äöü", 2), "äö…");
        assert_eq!(shown("äö", 2), "äö");
    }
}
