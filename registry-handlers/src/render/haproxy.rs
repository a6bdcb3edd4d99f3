//! `backend` sections for haproxy.

use std::fmt::Write as _;

use super::{Skipped, check_words};
use crate::address::Address;
use crate::error::Result;
use crate::model::Model;

/// One `backend` for each cluster, with one `server` line for each member that has an address. An empty backend is
/// valid: haproxy answers 503. Give the file to haproxy with a `-f` of its own.
pub(super) fn render(model: &Model, skipped: &mut Skipped) -> Vec<u8> {
    let mut text = String::new();
    for (cluster, members) in &model.clusters {
        let _ = writeln!(text, "backend {cluster}");
        for member in members.each() {
            match member.address() {
                Some(address) => {
                    let _ = writeln!(
                        text,
                        "    server {} {}{}",
                        identifier(member.name),
                        address.joined(),
                        options(&address)
                    );
                }
                None => skipped.add(cluster, &member, "has no address"),
            }
        }
    }
    text.into_bytes()
}

pub(super) fn check(watch: &[String]) -> Result<()> {
    check_words(watch, "the name of a haproxy backend", |c| c.is_ascii_alphanumeric() || "-_.:".contains(c))
}

/// A server without a port (it is sent what comes in to the port it came to) cannot be checked, and haproxy would refuse
/// the file; so it would for a host name that does not resolve just now.
fn options(address: &Address) -> &'static str {
    match (address.port, address.ip()) {
        (None, Some(_)) => "",
        (Some(_), Some(_)) => " check",
        (None, None) => " init-addr last,libc,none",
        (Some(_), None) => " check init-addr last,libc,none",
    }
}

/// The name as haproxy allows it: letters, digits and `_ : . -`. Everything else becomes `_` and two hexadecimal digits,
/// so that no two members can become one server; so does a `_` that would look like that.
fn identifier(name: &str) -> String {
    let bytes = name.as_bytes();
    let hexadecimal = |byte: &u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(byte);
    let mut identifier = String::new();
    for (at, &byte) in bytes.iter().enumerate() {
        let looks_escaped = byte == b'_' && bytes.get(at + 1..at + 3).is_some_and(|two| two.iter().all(hexadecimal));
        if (byte.is_ascii_alphanumeric() || b"_:.-".contains(&byte)) && !looks_escaped {
            identifier.push(char::from(byte));
        } else {
            let _ = write!(identifier, "_{byte:02X}");
        }
    }
    identifier
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::safety::model;
    use proptest::prelude::*;

    #[test]
    fn writes_servers() {
        let model = model(&[(
            "db",
            &[("10.0.0.1:3306", ""), ("[::1]:80", ""), ("box:2", "10.0.0.2:1"), ("10.0.0.3", ""), ("lost", "?")],
        )]);
        let mut skipped = Skipped::default();
        let text = String::from_utf8(render(&model, &mut skipped)).unwrap();
        assert_eq!(
            text,
            "backend db\n    server 10.0.0.1:3306 10.0.0.1:3306 check\n    server 10.0.0.3 10.0.0.3\n    server _5B::1_5D:80 [::1]:80 check\n    \
             server box:2 box:2 check init-addr last,libc,none\n"
        );
        assert_eq!(skipped.first.as_deref(), Some("lost of db has no address"));
    }

    proptest! {
        #[test]
        fn two_names_never_become_one(a in "[A-F0-9_,]{1,6}", b in "[A-F0-9_,]{1,6}") {
            prop_assert_eq!(a == b, identifier(&a) == identifier(&b));
        }
    }
}
