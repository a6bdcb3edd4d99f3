//! The filters that templates have besides the engine's own (`join`, `map`, `sort`, `default` …).

use minijinja::{Environment, Error, ErrorKind, Value};

use crate::address::Address;

pub(super) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("host", |text: &str| address(text).map(|address| address.host));
    environment.add_filter("port", |text: &str| {
        address(text)?.port.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, format!("{text:?} has no port")))
    });
    environment.add_filter("json", json);
    environment.add_filter("quote", quote);
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
