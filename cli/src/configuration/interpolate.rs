//! `${VAR}`, `${VAR:-default}` and `${file:PATH}` inside the strings of a configuration.

use std::env;
use std::fs;

use crate::withheld;

/// Replaces the references in double-quoted strings, and nowhere else: not in comments, not in literal strings.
///
/// What is put in is escaped, so that it can neither end the string nor add a key. Lines stay where they are, so that an
/// error of the parser names the right one.
///
/// # Errors
/// The line and what is wrong with the reference; never a value.
pub(super) fn interpolate(text: &str) -> Result<String, String> {
    interpolate_with(text, value)
}

/// The same, with what `value` makes of each reference.
pub(super) fn interpolate_with(text: &str, value: impl Fn(&str) -> Result<String, String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let (mut place, mut line) = (Place::Outside, 1);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        line += usize::from(c == '\n');
        if place == Place::Basic && rest.starts_with("${") {
            let end = rest.find('}').ok_or_else(|| format!("line {line}: `${{` is not closed with `}}`"))?;
            let value = value(&rest[2..end]).map_err(|problem| format!("line {line}: {problem}"))?;
            escape(&value, &mut out);
            rest = &rest[end + 1..];
            continue;
        }
        let taken = if place == Place::Basic && c == '\\' {
            // Whatever is escaped, a quotation mark perhaps, does not end the string.
            1 + rest[1..].chars().next().map_or(0, char::len_utf8)
        } else {
            c.len_utf8()
        };
        place = place.after(c);
        out.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    Ok(out)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    Basic,
    Literal,
    Comment,
}

impl Place {
    fn after(self, c: char) -> Self {
        match (self, c) {
            (Place::Outside, '"') => Place::Basic,
            (Place::Outside, '\'') => Place::Literal,
            (Place::Outside, '#') => Place::Comment,
            (Place::Basic, '"') | (Place::Literal, '\'') | (Place::Comment, '\n') => Place::Outside,
            (place, _) => place,
        }
    }
}

fn value(reference: &str) -> Result<String, String> {
    if let Some(path) = reference.strip_prefix("file:") {
        let text = fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))?;
        return Ok(text.strip_suffix('\n').map_or(text.clone(), str::to_owned));
    }
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err("write ${VARIABLE}, ${VARIABLE:-default} or ${file:/path}".into());
    }
    let found = env::var_os(name).filter(|value| !value.is_empty());
    if found.is_none() && withheld::missing().iter().any(|missing| missing == name) {
        // Not even a default: whoever wrote the file means the variable.
        return Err(withheld::taken_away(name));
    }
    match (found, default) {
        (Some(value), _) => value.into_string().map_err(|_| format!("the variable {name} is not UTF-8")),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(format!("the variable {name} is not set; write ${{{name}:-default}} if it may be missing")),
    }
}

fn escape(value: &str, out: &mut String) {
    use std::fmt::Write;
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            // Both JSON and TOML read this form.
            c if c.is_control() => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_in_strings_only() {
        let text = "a = \"${CC_TEST_UNSET:-x}\" # ${NOT_THIS}\nb = '${NOT_THIS}'\nc = \"\\\"${CC_TEST_UNSET:-y}\"\n";
        let out = interpolate(text).unwrap();
        assert_eq!(out, "a = \"x\" # ${NOT_THIS}\nb = '${NOT_THIS}'\nc = \"\\\"y\"\n");
    }

    #[test]
    fn a_value_cannot_leave_its_string() {
        let out = interpolate("a = \"${CC_TEST_UNSET:-\" b = \\1\"}\"").unwrap();
        let table: toml::Table = out.parse().expect("still one string");
        assert_eq!(table["a"].as_str(), Some("\" b = \\1\""));
    }

    #[test]
    fn names_the_line_of_what_is_missing() {
        assert!(
            interpolate("\n\na = \"${CC_TEST_UNSET}\"").unwrap_err().starts_with("line 3: the variable CC_TEST_UNSET")
        );
        assert!(interpolate("a = \"${x").unwrap_err().contains("not closed"));
        assert!(interpolate("a = \"${file:/nonexistent/x}\"").unwrap_err().contains("/nonexistent/x"));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".*") {
            let _ = interpolate(&text);
        }
    }
}
