//! Variables, to be read by a shell or as a dotenv file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{Skipped, check_words};
use crate::error::{Error, Result};
use crate::model::Model;

/// For each cluster `NAME_COUNT`, `NAME_MEMBERS` (their names) and `NAME_HOSTS` (without ports, each once), joined by commas.
///
/// Names and hosts hold nothing that means anything between double quotes (`"`, `$`, a backslash, a backquote). A name that
/// holds a comma would read as two and is left out. Values are not written.
pub(super) fn render(model: &Model, skipped: &mut Skipped) -> Vec<u8> {
    let mut text = String::new();
    for (cluster, members) in &model.clusters {
        let prefix = variable(cluster);
        let mut names = Vec::new();
        let mut hosts = Vec::new();
        let mut seen = BTreeSet::new();
        for member in members.each() {
            if member.name.contains(',') {
                skipped.add(cluster, &member, "holds a comma, which separates names here");
                continue;
            }
            names.push(member.name);
            let host = member.address().map(|address| address.host);
            hosts.extend(host.filter(|host| seen.insert(host.clone())));
        }
        let (count, names, hosts) = (names.len(), names.join(","), hosts.join(","));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{prefix}_COUNT=\"{count}\"\n{prefix}_MEMBERS=\"{names}\"\n{prefix}_HOSTS=\"{hosts}\"");
    }
    text.into_bytes()
}

pub(super) fn check(watch: &[String]) -> Result<()> {
    check_words(watch, "the name of a variable", |c| c.is_ascii_alphanumeric() || "-_.".contains(c))?;
    let mut seen = BTreeMap::new();
    for name in watch {
        if name.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(Error::config(format!("the cluster name {name:?} begins with a digit, as no variable may")));
        }
        if let Some(other) = seen.insert(variable(name), name) {
            return Err(Error::config(format!("the clusters {other:?} and {name:?} would use the same variables")));
        }
    }
    Ok(())
}

fn variable(cluster: &str) -> String {
    cluster.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::safety::model;

    #[test]
    fn writes_variables() {
        let mut skipped = Skipped::default();
        let model = model(&[(
            "my-db",
            &[
                ("10.0.0.1:1", "x"),
                ("10.0.0.1:2", "x"),
                ("a,b", ""),
                ("box", "10.0.0.2:1"),
                ("c", "10.0.0.1:3"),
                ("node", "$(id)"),
            ],
        )]);
        let text = String::from_utf8(render(&model, &mut skipped)).unwrap();
        assert_eq!(
            text,
            "MY_DB_COUNT=\"5\"\nMY_DB_MEMBERS=\"10.0.0.1:1,10.0.0.1:2,box,c,node\"\nMY_DB_HOSTS=\"10.0.0.1,10.0.0.2\"\n"
        );
        assert_eq!(skipped.count, 1);
    }

    #[test]
    fn refuses_names_that_are_no_variables() {
        for names in [&["a-b", "a.b"][..], &["1a"], &["a b"], &["a$"], &[""], &["-a"], &["é"]] {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            assert!(check(&names).is_err(), "{names:?}");
        }
    }
}
