//! The user's own template, in the Jinja2 syntax.

mod filters;
mod lint;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use serde::Serialize;

use super::Skipped;
use crate::address::Address;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::spec::FileSpec;
use crate::text::shown;

/// The longest template and the longest output, in bytes.
const MAX_SOURCE: u64 = 1024 * 1024;
const MAX_OUTPUT: usize = 64 * 1024 * 1024;
/// How many instructions one rendering may take: about a second, and enough for a hundred thousand members.
const FUEL: u64 = 10_000_000;

/// A template that was read and understood.
///
/// It sees `clusters` (by name) and, when the file watches one cluster, its `members`. It can reach nothing else: no
/// files, no other templates, no environment, no clock, no randomness. What is undefined is an error.
pub(crate) struct Template {
    environment: Environment<'static>,
    path: PathBuf,
    alone: bool,
}

impl Template {
    /// Reads the template once.
    ///
    /// # Errors
    /// `Config`, naming the file, and the line when it is not understood.
    pub(super) fn load(path: &Path, spec: &FileSpec) -> Result<Self> {
        let unreadable = |error: io::Error| Error::config(format!("cannot read the template {}: {error}", name(path)));
        let mut source = String::new();
        let file = std::fs::File::open(path).map_err(unreadable)?;
        file.take(MAX_SOURCE + 1).read_to_string(&mut source).map_err(unreadable)?;
        if source.len() as u64 > MAX_SOURCE {
            return Err(Error::config(format!("the template {} is longer than {MAX_SOURCE} bytes", name(path))));
        }
        lint::warn(spec, path, &source);
        Self::new(path, source, spec.watch.len() == 1)
    }

    fn new(path: &Path, source: String, alone: bool) -> Result<Self> {
        let mut environment = environment().map_err(|error| Error::config(describe(path, &error)))?;
        environment.add_template_owned(name(path), source).map_err(|error| Error::config(describe(path, &error)))?;
        Ok(Self { environment, path: path.to_owned(), alone })
    }

    /// # Errors
    /// `Render`, naming the file and the line.
    pub(super) fn render(&self, model: &Model, skipped: &mut Skipped) -> Result<Vec<u8>> {
        let shown = without_control_characters(model, skipped);
        let clusters = Value::from(Serde(&shown));
        let only = shown.values().next().filter(|_| self.alone);
        let members = only.map_or(Value::UNDEFINED, |members| Value::from(Serde(members)));
        let context = context! { clusters, members };
        let mut output = Limited(Vec::new());
        let template = self.environment.get_template(&name(&self.path));
        let done = template.and_then(|template| template.render_captured_to(context, &mut output).map(drop));
        done.map_err(|error| Error::render(describe(&self.path, &error)))?;
        Ok(output.0)
    }
}

fn environment() -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    // So that an error names the variable.
    environment.set_debug(true);
    // As Ansible has it: a line that holds only a block leaves no trace.
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build()?;
    environment.set_syntax(syntax);
    environment.remove_global("debug");
    filters::add(&mut environment);
    Ok(environment)
}

/// A member as a template sees it. What is not known is left out, so that a template that needs it fails instead of
/// writing nonsense.
#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    value: Cow<'a, str>,
    #[serde(flatten)]
    address: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<serde_json::Value>,
}

/// A line feed or an escape inside a value can end a statement in every configuration language, and no template is
/// written with it in mind. Such a member is left out. The text of a JSON value is written anew, without line feeds.
fn without_control_characters<'a>(model: &'a Model, skipped: &mut Skipped) -> BTreeMap<&'a str, Vec<Shown<'a>>> {
    let mut kept = BTreeMap::new();
    for (cluster, members) in &model.clusters {
        let clean: &mut Vec<_> = kept.entry(cluster.as_str()).or_default();
        for member in members.each() {
            let data = member.data();
            let value = data.as_ref().map_or_else(|| member.value(), |data| data.to_string().into());
            if value.chars().any(char::is_control) || data.as_ref().is_some_and(has_control_character) {
                skipped.add(cluster, &member, "has a control character in its value");
            } else {
                clean.push(Shown { name: member.name, value, address: member.address(), data });
            }
        }
    }
    kept
}

fn has_control_character(data: &serde_json::Value) -> bool {
    match data {
        serde_json::Value::String(text) => text.chars().any(char::is_control),
        serde_json::Value::Array(items) => items.iter().any(has_control_character),
        serde_json::Value::Object(fields) => {
            fields.iter().any(|(key, value)| key.chars().any(char::is_control) || has_control_character(value))
        }
        _ => false,
    }
}

/// `path:line: what`, as compilers say it, so that editors find it.
fn describe(path: &Path, error: &minijinja::Error) -> String {
    let line = error.line().map(|line| format!(":{line}")).unwrap_or_default();
    let detail = error.detail().map(|detail| format!(": {}", shown(detail, 200))).unwrap_or_default();
    format!("{}{line}: {}{detail}", name(path), error.kind())
}

fn name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A template and the members: what is made of them is made the same way twice, or an error that fits on a terminal; and no
/// value that a member has chosen ends a line.
///
/// # Panics
/// When that does not hold.
#[cfg(feature = "fuzzing")]
pub(crate) fn rendered(source: &str, model: &Model) {
    let lines = "{% for member in members %}{{ member.name }} {{ member.value }}\n{% endfor %}";
    for source in [source, lines] {
        let made = || {
            let template = Template::new(Path::new("/etc/a.j2"), source.to_owned(), true)?;
            template.render(model, &mut Skipped::default())
        };
        match (made(), made()) {
            (Ok(once), Ok(again)) => {
                assert_eq!(once, again);
                let count: usize = model.clusters.values().map(crate::members::Members::len).sum();
                assert!(source != lines || once.split(|byte| *byte == b'\n').count() <= count + 1);
            }
            (Err(error), Err(_)) => {
                let said = error.to_string();
                assert!(!said.contains(char::is_control) && said.len() < 4000, "{said:?}");
            }
            _ => panic!("the same members make a file and an error"),
        }
    }
}

/// A loop may multiply what hostile members have registered.
struct Limited(Vec<u8>);

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_OUTPUT {
            return Err(io::Error::other(format!("the output is longer than {MAX_OUTPUT} bytes")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::render::safety::model;
    use crate::spec::FileKind;

    fn spec() -> FileSpec {
        FileSpec::new(FileKind::Template, ["db"], "/nowhere/x")
    }

    fn load(source: &str) -> Result<(Template, tempfile::TempDir)> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("app.j2");
        std::fs::write(&path, source).unwrap();
        Template::load(&path, &spec()).map(|template| (template, directory))
    }

    fn render(source: &str, members: &[(&str, &str)]) -> Result<String> {
        let (template, _directory) = load(source)?;
        let bytes = template.render(&model(&[("db", members)]), &mut Skipped::default())?;
        Ok(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn renders_members() {
        let members: &[_] = &[("10.0.0.9:3306", r#"{"zone":"a"}"#), ("[::1]:80", r#"{"zone":"b<c"}"#)];
        let source = "# head\n{% for m in members %}\n  {{ m.host }} {{ m.port }} {{ m.data.zone }}\n{% endfor %}\n\
                      {{ clusters.db|map(attribute='name')|join(' ') }} {{ '[::1]:80'|host }} {{ 'a:1'|port }}\n\
                      {{ members[1].data|json }} {{ \"it's\"|quote }}\n";
        assert_eq!(
            render(source, members).unwrap(),
            "# head\n  10.0.0.9 3306 a\n  ::1 80 b<c\n10.0.0.9:3306 [::1]:80 ::1 1\n{\"zone\":\"b<c\"} 'it'\\''s'\n"
        );
    }

    #[test]
    fn an_error_names_the_file_the_line_and_the_variable() {
        let error = render("one\n{% for m in members %}\n{{ m.hots }}\n{% endfor %}\n", &[("a:1", "")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Render);
        assert!(error.to_string().contains("app.j2:3: undefined value"), "{error}");
        assert!(error.to_string().contains("m.hots"), "{error}");
        let error = load("one\n{% if %}").map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("app.j2:2: syntax error"), "{error}");
        let error = Template::load(Path::new("/nowhere/x.j2"), &spec()).map(drop).unwrap_err();
        assert!(error.to_string().contains("cannot read the template /nowhere/x.j2"), "{error}");
    }

    #[test]
    fn a_template_reaches_nothing_else() {
        for source in
            ["{% include '/etc/passwd' %}", "{% import 'x' as y %}", "{% extends 'x' %}", "{{ debug() }}", "{{ env }}"]
        {
            assert!(render(source, &[]).is_err(), "{source}");
        }
    }

    #[test]
    fn a_template_ends() {
        let endless = "{% for a in range(10000) %}{% for b in range(10000) %}{{ a }}{% endfor %}{% endfor %}";
        let error = render(endless, &[]).unwrap_err();
        assert!(error.to_string().contains("app.j2:1"), "{error}");
    }

    #[test]
    fn a_member_with_control_characters_is_left_out() {
        let (template, _directory) = load("{% for m in members %}{{ m.name }}={{ m.value }};{% endfor %}").unwrap();
        let mut skipped = Skipped::default();
        let members: &[_] = &[("a", "x\n}"), ("b", "{\n \"z\": 1\n}"), ("c", r#"{"z":"\n"}"#), ("d", "ok")];
        let bytes = template.render(&model(&[("db", members)]), &mut skipped).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), "b={\"z\":1};d=ok;");
        assert_eq!(skipped.count, 2);
        assert_eq!(skipped.first.as_deref(), Some("a of db has a control character in its value"));
    }
}
