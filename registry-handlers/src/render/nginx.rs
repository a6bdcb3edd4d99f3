//! `upstream` blocks for nginx.

use std::fmt::Write as _;

use super::{Skipped, check_words};
use crate::error::Result;
use crate::model::Model;

/// One `upstream` for each cluster, to be included in the `http` block. nginx refuses an upstream without servers, so an
/// empty one gets a server that is marked as down: requests are answered with 502. A host name must resolve when nginx reads
/// the file, or nginx refuses all of it: register addresses, or give the file a `check`.
pub(super) fn render(model: &Model, skipped: &mut Skipped) -> Vec<u8> {
    let mut text = String::new();
    for (cluster, members) in &model.clusters {
        let _ = writeln!(text, "upstream {cluster} {{");
        let mut empty = true;
        for member in members.each() {
            match member.address() {
                Some(address) => {
                    let _ = writeln!(text, "    server {};", address.joined());
                    empty = false;
                }
                None => skipped.add(cluster, &member, "has no address"),
            }
        }
        text.push_str(if empty { "    server 127.0.0.1:1 down;\n}\n" } else { "}\n" });
    }
    text.into_bytes()
}

pub(super) fn check(watch: &[String]) -> Result<()> {
    check_words(watch, "the name of an nginx upstream", |c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::safety::model;

    #[test]
    fn writes_upstreams() {
        let model = model(&[("db", &[("10.0.0.1:3306", ""), ("[::1]:80", "")]), ("web", &[("lost", "; } evil {")])]);
        let text = String::from_utf8(render(&model, &mut Skipped::default())).unwrap();
        assert_eq!(
            text,
            "upstream db {\n    server 10.0.0.1:3306;\n    server [::1]:80;\n}\nupstream web {\n    server 127.0.0.1:1 \
             down;\n}\n"
        );
    }
}
