//! What others say, made fit to be shown.

/// A server's words, cut short and without what would disturb a terminal or a log: at most 200 characters, escaped.
///
/// For backends: what a server says may stand in an [`Error`](crate::Error) only like this.
pub fn printable(text: &str) -> String {
    let mut shown: String = text.chars().take(200).flat_map(char::escape_debug).collect();
    if text.chars().nth(200).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_message_is_cut_and_escaped() {
        let text = printable(&format!("\u{1b}[2J\n{}", "x".repeat(10_000)));
        assert!(text.len() < 300 && !text.contains(['\n', '\u{1b}']), "{text}");
    }
}
