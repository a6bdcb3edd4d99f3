//! What templates see and what notifications get on stdin.

use std::borrow::Cow;
use std::collections::BTreeMap;

use registry_core::{Bytes, Name};
use serde::Serialize;
use serde::ser::{SerializeStruct as _, Serializer};
use serde_json::Value;

use crate::address::Address;
use crate::members::Members;
use crate::membership::Clusters;

/// The members of every cluster that a file watches. Equal members make an equal model, whatever their indices.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Model {
    /// By the name of the cluster.
    pub(crate) clusters: BTreeMap<String, Members>,
}

/// One member. What it means is found out when it is asked for: most files show only a part of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member<'a> {
    pub(crate) name: &'a str,
    bytes: &'a Bytes,
}

impl Model {
    pub(crate) fn new(clusters: &Clusters) -> Self {
        Self { clusters: clusters.iter().map(|(name, known)| (name.to_string(), known.members.clone())).collect() }
    }
}

impl Members {
    /// All of them, with what they mean.
    pub(crate) fn each(&self) -> impl Iterator<Item = Member<'_>> {
        self.iter().map(Member::new)
    }
}

impl<'a> Member<'a> {
    fn new((name, bytes): (&'a Name, &'a Bytes)) -> Self {
        Self { name: name.as_str(), bytes }
    }

    /// The value as text; what is not UTF-8 is replaced.
    pub(crate) fn value(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.bytes)
    }

    /// The host and port that the name holds, or else the value.
    pub(crate) fn address(&self) -> Option<Address> {
        Address::parse(self.name).or_else(|| Address::parse(self.value().trim()))
    }

    /// The value's content, when the value is JSON.
    pub(crate) fn data(&self) -> Option<Value> {
        // serde_json stops at 128 levels, and the registry at 64 KiB.
        may_be_json(self.bytes).then(|| serde_json::from_slice(self.bytes).ok())?
    }

    /// The value's content, or else its text.
    pub(crate) fn content(self) -> Content<'a> {
        Content(self)
    }
}

/// Most values are addresses or words. That they are no JSON is seen at once, and would take an error for each to be told.
fn may_be_json(bytes: &[u8]) -> bool {
    match bytes.trim_ascii() {
        b"true" | b"false" | b"null" | [b'{' | b'[' | b'"', ..] => true,
        number @ [b'-' | b'0'..=b'9', ..] => {
            number.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
        }
        _ => false,
    }
}

/// What a member's value means: JSON where it is JSON, else a text.
pub(crate) struct Content<'a>(Member<'a>);

impl Serialize for Content<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.data() {
            Some(data) => data.serialize(serializer),
            None => serializer.serialize_str(&self.0.value()),
        }
    }
}

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.each())
    }
}

/// What is not known is left out, so that a reader that needs it fails instead of working on nonsense.
impl Serialize for Member<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (address, data) = (self.address(), self.data());
        let port = address.as_ref().and_then(|address| address.port);
        let known = usize::from(address.is_some()) + usize::from(port.is_some()) + usize::from(data.is_some());
        let mut fields = serializer.serialize_struct("Member", 2 + known)?;
        fields.serialize_field("name", self.name)?;
        fields.serialize_field("value", &self.value())?;
        if let Some(address) = &address {
            fields.serialize_field("host", &address.host)?;
        }
        if let Some(port) = port {
            fields.serialize_field("port", &port)?;
        }
        if let Some(data) = &data {
            fields.serialize_field("data", data)?;
        }
        fields.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(name: &str, value: &[u8]) -> String {
        let (name, value) = (Name::new(name).unwrap(), Bytes::copy_from_slice(value));
        serde_json::to_string(&Member::new((&name, &value))).unwrap()
    }

    #[test]
    fn shows_what_is_known_and_nothing_else() {
        assert_eq!(
            json("10.0.0.9:3306", b"x"),
            r#"{"name":"10.0.0.9:3306","value":"x","host":"10.0.0.9","port":3306}"#
        );
        assert!(json("host:box:3306", b"10.0.0.9:3306\n").contains(r#""port":3306"#));
        assert_eq!(json("node", b"\xff"), "{\"name\":\"node\",\"value\":\"\u{fffd}\"}");
        assert_eq!(
            json("node", br#"{"zone":"a"}"#),
            r#"{"name":"node","value":"{\"zone\":\"a\"}","data":{"zone":"a"}}"#
        );
        assert_eq!(json("10.0.0.9", b""), r#"{"name":"10.0.0.9","value":"","host":"10.0.0.9"}"#);
    }

    #[test]
    fn what_is_json_is_seen_as_such() {
        let parses = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).is_ok();
        let values: &[&[u8]] = &[
            b"true",
            b" null\n",
            b"false",
            b"-1",
            b"-1.5e+3",
            b"0",
            b"\t[1]",
            b"{}",
            b"\"x\"",
            b"1E9",
            b"truer",
            b"10.0.0.7:80",
            b"10.0.0.7",
            b"-",
            b"",
            b" ",
            b"nil",
            b"\x0ctrue",
            b"[",
            b"1 2",
            b"1-2",
            b"\xff",
            b"change-1",
        ];
        for bytes in values {
            let (name, value) = (Name::new("node").unwrap(), Bytes::copy_from_slice(bytes));
            let member = Member::new((&name, &value));
            assert_eq!(member.data().is_some(), parses(bytes), "{value:?}");
        }
        assert!(!may_be_json(b"10.0.0.7:80") && !may_be_json(b"initial"), "it would be parsed in vain");
    }

    #[test]
    fn deep_json_is_just_text() {
        let (name, deep) = (Name::new("node").unwrap(), Bytes::from("[".repeat(60_000)));
        assert_eq!(Member::new((&name, &deep)).data(), None);
    }
}
