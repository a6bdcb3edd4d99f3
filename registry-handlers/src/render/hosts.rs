//! A marked block of lines in a hosts file; everything outside of it stays, byte for byte.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{Skipped, check_words};
use crate::address::{Address, is_host_name};
use crate::error::{Error, Result};
use crate::model::{Member, Model};

/// What the block is called unless the configuration says otherwise.
pub(super) const DEFAULT_BLOCK: &str = "cluster-control";

/// One line for each IP address of each cluster: the address, the member's own name if that is a host name, and the
/// cluster's name, which thereby resolves to all of its members.
///
/// # Errors
/// `Render` when the markers are not exactly one pair in order: to guess where the block ends could delete what
/// somebody else has written.
pub(super) fn render(block: &str, model: &Model, existing: &[u8], skipped: &mut Skipped) -> Result<Vec<u8>> {
    let (begin, end) = (format!("# BEGIN {block}\n"), format!("# END {block}\n"));
    let (before, after) = around(&begin, &end, existing)?;
    let mut bytes = before.to_vec();
    if bytes.last().is_some_and(|&last| last != b'\n') {
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(begin.as_bytes());
    bytes.extend(lines(model, skipped).into_iter().flat_map(String::into_bytes));
    bytes.extend_from_slice(end.as_bytes());
    bytes.extend_from_slice(after);
    Ok(bytes)
}

pub(super) fn check(watch: &[String]) -> Result<()> {
    check_words(watch, "a hosts file", |c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

pub(super) fn check_block(block: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_. ".contains(c);
    if block.is_empty() || block.trim() != block || !block.chars().all(plain) {
        return Err(Error::config(format!("the block name {block:?} is not valid: use letters, digits and - _ .")));
    }
    Ok(())
}

/// In the order of the members, each line once: two ports of one host are one line.
fn lines(model: &Model, skipped: &mut Skipped) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut lines = Vec::new();
    for (cluster, members) in &model.clusters {
        for member in members.each() {
            let Some(ip) = ip(&member) else {
                skipped.add(cluster, &member, "has no IP address");
                continue;
            };
            let own = own_name(&member).filter(|own| own != cluster).map(|own| format!("{own} ")).unwrap_or_default();
            let line = format!("{ip}\t{own}{cluster}\n");
            if seen.insert(line.clone()) {
                lines.push(line);
            }
        }
    }
    lines
}

/// The name may hold a host name, and the value then the address.
fn ip(member: &Member<'_>) -> Option<IpAddr> {
    let value = || Address::parse(member.value().trim()).and_then(|address| address.ip());
    member.address().as_ref().and_then(Address::ip).or_else(value)
}

/// What the member is called, without a port; `None` when that is only its address.
fn own_name(member: &Member<'_>) -> Option<String> {
    let name = Address::parse(member.name).map_or_else(|| member.name.to_owned(), |address| address.host);
    (is_host_name(&name) && name.parse::<IpAddr>().is_err()).then_some(name)
}

/// What stands before and after the block. Without one, it goes to the end.
fn around<'a>(begin: &str, end: &str, existing: &'a [u8]) -> Result<(&'a [u8], &'a [u8])> {
    let is = |line: &[u8], marker: &str| line.trim_ascii_end() == marker.trim_end().as_bytes();
    let mut begins = Vec::new();
    let mut ends = Vec::new();
    let mut at = 0;
    for line in existing.split_inclusive(|&byte| byte == b'\n') {
        if is(line, begin) {
            begins.push(at);
        }
        at += line.len();
        if is(line, end) {
            ends.push(at);
        }
    }
    match (begins[..].as_ref(), ends[..].as_ref()) {
        ([], []) => Ok((existing, &[])),
        (&[from], &[to]) if from < to => Ok((&existing[..from], &existing[to..])),
        _ => Err(Error::render(format!(
            "the markers of the block are broken: there must be one line {:?} and after it one line {:?}",
            begin.trim_end(),
            end.trim_end()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::safety::model;
    use proptest::prelude::*;

    fn edit(existing: &str, clusters: &[(&str, &[(&str, &str)])]) -> Result<String> {
        let bytes = render(DEFAULT_BLOCK, &model(clusters), existing.as_bytes(), &mut Skipped::default())?;
        Ok(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn replaces_its_block_only() {
        let members: &[_] = &[("10.0.0.1:1", ""), ("10.0.0.1:2", ""), ("db1", "10.0.0.2:3306"), ("lost", "")];
        let first = edit("127.0.0.1 localhost", &[("db", members)]).unwrap();
        assert_eq!(
            first,
            "127.0.0.1 localhost\n# BEGIN cluster-control\n10.0.0.1\tdb\n10.0.0.2\tdb1 db\n# END cluster-control\n"
        );
        let second = edit(&format!("{first}# mine\n"), &[("db", &[("10.0.0.3", "")])]).unwrap();
        assert_eq!(
            second,
            "127.0.0.1 localhost\n# BEGIN cluster-control\n10.0.0.3\tdb\n# END cluster-control\n# mine\n"
        );
        assert_eq!(edit(&second, &[("db", &[("10.0.0.3", "")])]).unwrap(), second);
    }

    #[test]
    fn refuses_broken_markers() {
        for existing in [
            "# BEGIN cluster-control\nprecious\n",
            "# END cluster-control\n# BEGIN cluster-control\n",
            "# BEGIN cluster-control\n# BEGIN cluster-control\n# END cluster-control\n",
        ] {
            assert!(edit(existing, &[("db", &[])]).is_err(), "{existing}");
        }
    }

    proptest! {
        #[test]
        fn keeps_what_is_not_its_own(before in "([a-z# ]{0,9}\n){0,4}", after in "([a-z# ]{0,9}\n){0,4}", value in ".{0,20}") {
            let existing = format!("{before}# BEGIN cluster-control\nold\n# END cluster-control\n{after}");
            let edited = edit(&existing, &[("db", &[("node", &value)])]).unwrap();
            prop_assert!(edited.starts_with(&before) && edited.ends_with(&after));
            prop_assert_eq!(edit(&edited, &[("db", &[("node", &value)])]).unwrap(), edited);
        }
    }
}
