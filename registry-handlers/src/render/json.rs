//! JSON, in the shapes that programs want.

use serde::ser::{Serialize, Serializer};

use crate::members::Members;
use crate::model::Model;
use crate::spec::Shape;

/// One cluster: its members. Several: an object with the members of each under its name.
///
/// The shape `names` is what the original Cluster Control wrote, byte for byte: PHP's `json_encode` without blanks and
/// without a final newline. (It would also write `/` as `\/`, but the name of a member holds none.)
pub(super) fn render(shape: Shape, model: &Model) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut json = serde_json::Serializer::new(&mut bytes);
    let written = match model.clusters.values().next() {
        Some(members) if model.clusters.len() == 1 => Shaped(shape, members).serialize(&mut json),
        _ => json.collect_map(model.clusters.iter().map(|(cluster, members)| (cluster, Shaped(shape, members)))),
    };
    // No key is anything but text, and memory takes all that is written: nothing can fail.
    debug_assert!(written.is_ok(), "{written:?}");
    if shape != Shape::Names {
        bytes.push(b'\n');
    }
    bytes
}

/// The members of one cluster in this shape.
struct Shaped<'a>(Shape, &'a Members);

impl Serialize for Shaped<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(shape, members) = self;
        match shape {
            Shape::Names => serializer.collect_seq(members.each().map(|member| member.name)),
            Shape::Full => members.serialize(serializer),
            Shape::HostPort => serializer.collect_seq(members.each().filter_map(|member| member.address())),
            Shape::Map => serializer.collect_map(members.each().map(|member| (member.name, member.content()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::render::safety::model;

    fn text(shape: Shape, clusters: &[(&str, &[(&str, &str)])]) -> String {
        String::from_utf8(render(shape, &model(clusters))).unwrap()
    }

    #[test]
    fn names_are_what_the_original_wrote() {
        let members: &[_] = &[("10.0.0.9:3306", "0"), ("10.0.0.10:3306", "1")];
        assert_eq!(text(Shape::Names, &[("db", members)]), r#"["10.0.0.10:3306","10.0.0.9:3306"]"#);
        assert_eq!(text(Shape::Names, &[("db", &[])]), "[]");
        assert_eq!(text(Shape::Names, &[("db", &[("a", "")]), ("web", &[])]), r#"{"db":["a"],"web":[]}"#);
    }

    #[test]
    fn other_shapes() {
        let members: &[_] = &[("a:1", r#"{"z":1}"#), ("b", "\"\n")];
        assert_eq!(text(Shape::HostPort, &[("db", members)]), "[{\"host\":\"a\",\"port\":1}]\n");
        assert_eq!(text(Shape::Map, &[("db", members)]), "{\"a:1\":{\"z\":1},\"b\":\"\\\"\\n\"}\n");
        let full: Value = serde_json::from_str(&text(Shape::Full, &[("db", members)])).unwrap();
        assert_eq!(full[0]["data"]["z"], 1);
        assert_eq!(full[1]["value"], "\"\n");
    }
}
