//! The answer to a recursive read, taken apart while it is parsed: only the entries are kept, never the tree.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Directories nested deeper than this are skipped. The JSON parser gives up at twice this depth, and then a stranger's
/// deep path would hide everybody's entries.
const DEPTH: usize = 48;

/// An entry of the tree.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) created: u64,
    /// In seconds. An entry without one stays until it is removed; one that is not above 0 is dead already.
    pub(crate) ttl: Option<i64>,
}

/// What a recursive read found.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) leaves: Vec<Leaf>,
    /// The path that the answer is about.
    pub(crate) root: String,
    /// True when what was asked for is itself an entry.
    pub(crate) is_entry: bool,
    /// How many directories were too deep.
    pub(crate) skipped: usize,
}

pub(crate) fn parse(body: &[u8]) -> serde_json::Result<Tree> {
    let mut tree = Tree::default();
    let mut json = serde_json::Deserializer::from_slice(body);
    Answer(&mut tree).deserialize(&mut json)?;
    json.end()?;
    Ok(tree)
}

/// `{"action":"get","node":{…}}`
struct Answer<'a>(&'a mut Tree);
/// `{"key":"…","value":"…",…}` or `{"key":"…","dir":true,"nodes":[…],…}`
struct AnyNode<'a>(&'a mut Tree, usize);
/// `[node, …]`
struct Nodes<'a>(&'a mut Tree, usize);

/// Makes a seed of a visitor; `deserialize_any` is what JSON does in any case.
macro_rules! seed {
    ($type:ident, $method:ident) => {
        impl<'de> DeserializeSeed<'de> for $type<'_> {
            type Value = <Self as Visitor<'de>>::Value;
            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
                deserializer.$method(self)
            }
        }
    };
}
seed!(Answer, deserialize_map);
seed!(AnyNode, deserialize_map);
seed!(Nodes, deserialize_seq);

impl<'de> Visitor<'de> for Answer<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer to a read")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut is_directory = None;
        while let Some(field) = map.next_key::<String>()? {
            if field == "node" && is_directory.is_none() {
                is_directory = Some(map.next_value_seed(AnyNode(self.0, 0))?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        self.0.is_entry = !is_directory.ok_or_else(|| A::Error::missing_field("node"))?;
        Ok(())
    }
}

impl<'de> Visitor<'de> for AnyNode<'_> {
    /// Whether it is a directory.
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a node")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let AnyNode(tree, depth) = self;
        let mut leaf = Leaf::default();
        let mut directory = false;
        while let Some(field) = map.next_key::<String>()? {
            match field.as_str() {
                "key" => leaf.key = map.next_value()?,
                "value" => leaf.value = map.next_value()?,
                "createdIndex" => leaf.created = map.next_value()?,
                "ttl" => leaf.ttl = map.next_value()?,
                "dir" => directory = map.next_value()?,
                "nodes" if depth < DEPTH => map.next_value_seed(Nodes(tree, depth + 1))?,
                "nodes" => {
                    tree.skipped += 1;
                    map.next_value::<IgnoredAny>()?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if depth == 0 {
            tree.root.clone_from(&leaf.key);
        }
        if !directory {
            if leaf.key.is_empty() || leaf.created == 0 {
                return Err(A::Error::custom("a node without a key or an index"));
            }
            tree.leaves.push(leaf);
        }
        Ok(directory)
    }
}

impl<'de> Visitor<'de> for Nodes<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of nodes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut nodes: A) -> Result<(), A::Error> {
        while nodes.next_element_seed(AnyNode(self.0, self.1))?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_at_any_depth_and_no_directories() {
        let body = br#"{"action":"get","node":{"key":"/a","dir":true,"nodes":[
            {"key":"/a/b","value":"1","createdIndex":4,"modifiedIndex":9,"ttl":3,"expiration":"x"},
            {"nodes":[{"key":"/a/c/d","value":"","createdIndex":5}],"key":"/a/c","dir":true},
            {"key":"/a/empty","dir":true}]}}"#;
        let tree = parse(body).unwrap();
        let leaf = |key: &str, value: &str, created, ttl| Leaf { key: key.into(), value: value.into(), created, ttl };
        assert_eq!(tree.leaves, [leaf("/a/b", "1", 4, Some(3)), leaf("/a/c/d", "", 5, None)]);
        assert_eq!((tree.root.as_str(), tree.is_entry), ("/a", false));
        assert!(parse(br#"{"node":{"key":"/a","value":"x","createdIndex":4}}"#).unwrap().is_entry);
    }

    #[test]
    fn one_deep_path_does_not_hide_the_others() {
        let mut body = r#"{"node":{"key":"/a","dir":true,"nodes":[{"key":"/a/b","createdIndex":4},"#.to_owned();
        for _ in 0..10_000 {
            body.push_str(r#"{"key":"/a/x","dir":true,"nodes":["#);
        }
        body.push_str(&"]}".repeat(10_000));
        body.push_str("]}}");
        let tree = parse(body.as_bytes()).unwrap();
        assert_eq!((tree.leaves.len(), tree.skipped), (1, 1));
    }

    #[test]
    fn what_is_not_whole_is_an_error() {
        for body in [
            "",
            "{}",
            "[]",
            "null",
            r#"{"action":"get"}"#,
            r#"{"node":null}"#,
            r#"{"node":{}}"#,
            r#"{"node":{"key":"/a","dir":true,"nodes":["#,
            r#"{"node":{"key":"/a","dir":true,"nodes":[{"key":"/a/b","value":1,"createdIndex":4}]}}"#,
            r#"{"node":{"key":"/a","dir":true,"nodes":null}}"#,
            r#"{"node":{"key":"/a","dir":true}} more"#,
        ] {
            assert!(parse(body.as_bytes()).is_err(), "{body}");
        }
    }
}
