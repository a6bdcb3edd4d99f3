//! Which variables of a configuration are secrets of the registry.

use serde_json::Value;

use super::interpolate::interpolate_with;

/// Around the name of a variable; no URL holds them.
const MARKS: [char; 2] = ['\u{1}', '\u{2}'];

/// The names of the variables that the registry's URL refers to, and of those among them that stand in front of its `@`.
/// Nothing in a file that cannot be read: the error is reported by whoever reads it.
pub(super) fn of_registry(text: &str) -> (Vec<String>, Vec<String>) {
    let mark = |reference: &str| {
        let name = reference.split(":-").next().unwrap_or_default();
        let is_variable = !name.starts_with("file:");
        Ok(if is_variable { format!("{}{name}{}", MARKS[0], MARKS[1]) } else { "file".to_owned() })
    };
    let Ok(marked) = interpolate_with(text, mark) else { return Default::default() };
    let url = url(&marked).unwrap_or_default();
    let place = url.split('?').next().unwrap_or_default();
    let who = place.rsplit_once('@').map_or("", |(who, _)| who);
    (names(&url), names(who))
}

fn url(text: &str) -> Option<String> {
    let read = |value: &Value| value.as_str().map(str::to_owned);
    if text.trim_start().starts_with('{') {
        let document: Value = serde_json::from_str(text).ok()?;
        return document.pointer("/etcd/server").or(document.pointer("/etcd/host")).and_then(read);
    }
    let document: toml::Table = text.parse().ok()?;
    document.get("registry")?.get("url")?.as_str().map(str::to_owned)
}

fn names(text: &str) -> Vec<String> {
    let parts = text.split(MARKS[0]).skip(1).filter_map(|part| part.split_once(MARKS[1]));
    parts.map(|(name, _)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_variables_of_the_url() {
        let of = |url: &str| of_registry(&format!("# ${{NO}}\nother = \"${{NO}}\"\n[registry]\nurl = \"{url}\""));
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            of("etcd://${WHO}:${PASSWORD:-x}@${HOST}/${file:/p}?ca=${CA}"),
            (owned(&["WHO", "PASSWORD", "HOST", "CA"]), owned(&["WHO", "PASSWORD"]))
        );
        assert_eq!(of("${URL}"), (owned(&["URL"]), vec![]));
        assert_eq!(of("etcd://app:${PASSWORD}@h"), (owned(&["PASSWORD"]), owned(&["PASSWORD"])));
        assert_eq!(of("etcd://${BOTH}@h"), (owned(&["BOTH"]), owned(&["BOTH"])));
        let json = r#"{"etcd": {"server": "http://${A}:${B}@h"}}"#;
        assert_eq!(of_registry(json).1, owned(&["A", "B"]));
        assert_eq!(of_registry("[registry\nurl = "), Default::default());
    }
}
