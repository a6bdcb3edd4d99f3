//! The filters that templates have besides the engine's own (`join`, `map`, `sort`, `default` …).

use std::fmt::Write as _;

use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, Value};

use crate::address::Address;

pub(super) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("host", |text: &str| address(text).map(|address| address.host));
    environment.add_filter("port", |text: &str| {
        address(text)?.port.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, format!("{text:?} has no port")))
    });
    environment.add_filter("json", json);
    environment.add_filter("quote", quote);
    environment.add_filter("yaml", yaml);
    environment.add_filter("toml", toml);
    environment.add_filter("nginx", nginx);
}

fn address(text: &str) -> Result<Address, Error> {
    let wrong = || Error::new(ErrorKind::InvalidOperation, format!("{text:?} is not host:port"));
    Address::parse(text).ok_or_else(wrong)
}

/// The engine's `tojson` escapes for HTML too; this does not.
fn json(value: &Value) -> Result<String, Error> {
    let unfit = |error: serde_json::Error| Error::new(ErrorKind::BadSerialization, error.to_string());
    serde_json::to_string(value).map_err(unfit)
}

/// One word for a shell, whatever it holds.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// YAML takes JSON for its own, but reads some characters as the end of a line.
fn yaml(value: &Value) -> Result<String, Error> {
    let mut escaped = String::new();
    for c in json(value)?.chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                // Writing to a String cannot fail.
                let _ = write!(escaped, "\\u{:04x}", u32::from(c));
            }
            c => escaped.push(c),
        }
    }
    Ok(escaped)
}

/// A string, number, truth or list of these. TOML's strings know the escapes of JSON, and nothing for what is not there.
fn toml(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::String | ValueKind::Number | ValueKind::Bool => yaml(value),
        ValueKind::Seq => {
            let items = value.try_iter()?.map(|item| toml(&item)).collect::<Result<Vec<_>, _>>()?;
            Ok(format!("[{}]", items.join(", ")))
        }
        other => Err(Error::new(ErrorKind::InvalidOperation, format!("{other} cannot be written as a value of TOML"))),
    }
}

/// One parameter of nginx. There is no way to write a `$` that is no variable, so it becomes `_`: an error would let one
/// member keep all others from being served.
fn nginx(value: &Value) -> String {
    let text = value.to_string();
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '$' => quoted.push('_'),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
