//! A list of members as text.

use registry_core::{Name, Result};

use crate::error::in_variable;

/// The members in a variable, sorted.
pub(crate) fn members(variable: &str, text: &str) -> Result<Vec<Name>> {
    let list: Vec<String> = if text.trim_start().starts_with('[') && text.trim_end().ends_with("\"]") {
        serde_json::from_str(text)
            .map_err(|error| in_variable(variable, "this is not a JSON list of strings").because(error))?
    } else {
        text.split(|c: char| c == ',' || c.is_whitespace()).filter(|item| !item.is_empty()).map(String::from).collect()
    };
    let mut names = Vec::with_capacity(list.len());
    for (number, item) in list.iter().enumerate() {
        let name = Name::new(item);
        let name = name.map_err(|error| in_variable(variable, &format!("its member {}", number + 1)).because(error))?;
        if name.is_nested() {
            return Err(in_variable(variable, &format!("its member {} holds a `/`; write host:port", number + 1)));
        }
        names.push(name);
    }
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(in_variable(variable, &format!("the member {} stands there twice", pair[0]))),
        None => Ok(names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>> {
        Ok(members("X", text)?.iter().map(Name::to_string).collect())
    }

    #[test]
    fn reads_the_usual_forms() {
        assert_eq!(read("b:2,a:1").unwrap(), ["a:1", "b:2"]);
        assert_eq!(read(" a:1 ,\n b:2, ").unwrap(), ["a:1", "b:2"]);
        assert_eq!(read("[\"b\", \"a\"]").unwrap(), ["a", "b"]);
        assert_eq!(read("[fe80::1]:80,[fe80::2]:80").unwrap(), ["[fe80::1]:80", "[fe80::2]:80"]);
        assert_eq!(read("").unwrap(), [""; 0]);
    }

    #[test]
    fn names_what_is_wrong() {
        for (text, says) in
            [("a,a", "twice"), ("a,b/c", "member 2"), ("http://a", "member 1"), ("[\"a\",1,\"b\"]", "JSON")]
        {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains("variable X") && error.contains(says), "{text}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics_and_never_repeats(text in ".*") {
            if let Ok(names) = read(&text) {
                proptest::prop_assert!(names.windows(2).all(|pair| pair[0] < pair[1]));
            }
        }
    }
}
