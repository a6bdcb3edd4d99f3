//! Values that a template writes as they are into a file of which the language is known.
//!
//! Whoever may register decides what a value says. It cannot end a line, but a `;`, a quotation mark or `$(…)` is enough in most
//! languages.

use std::path::Path;

use crate::spec::FileSpec;

/// Languages, how they are recognised, and the filter that makes one word or string of a value.
const LANGUAGES: [Language; 7] = [
    Language { name: "nginx", filter: "nginx", words: &["nginx"], extensions: &[] },
    Language { name: "haproxy", filter: "quote", words: &["haproxy"], extensions: &[] },
    Language { name: "JSON", filter: "json", words: &["jq"], extensions: &["json"] },
    Language { name: "YAML", filter: "yaml", words: &["yamllint", "promtool"], extensions: &["yaml", "yml"] },
    Language { name: "TOML", filter: "toml", words: &["taplo"], extensions: &["toml"] },
    Language { name: "a shell", filter: "quote", words: &["sh", "bash", "dash"], extensions: &["sh", "bash", "env"] },
    Language { name: "HTML or XML", filter: "e", words: &["xmllint"], extensions: &["html", "xml"] },
];
/// Filters after which a value is a word of some language, or is no text at all; `safe` says that it is meant as it is.
const HARMLESS: [&str; 16] = [
    "quote",
    "json",
    "yaml",
    "toml",
    "nginx",
    "e",
    "escape",
    "tojson",
    "urlencode",
    "host",
    "port",
    "int",
    "float",
    "length",
    "count",
    "safe",
];
/// What a member has registered, besides its name, which the registry allows few characters in.
const FIELDS: [&str; 2] = ["value", "data"];

struct Language {
    name: &'static str,
    filter: &'static str,
    words: &'static [&'static str],
    extensions: &'static [&'static str],
}

/// One place where a value is written as it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bare {
    line: usize,
    expression: String,
}

/// Says on the log where values are written as they are, if the language of the file is known: by its path, the path of
/// its template, or the program that checks it.
pub(super) fn warn(spec: &FileSpec, src: &Path, source: &str) {
    let Some(language) = language(spec, src) else { return };
    for message in warnings(language, src, source) {
        tracing::warn!("{message}");
    }
}

fn warnings(language: &Language, src: &Path, source: &str) -> Vec<String> {
    let Language { name, filter, .. } = language;
    let message = |Bare { line, expression }: Bare| {
        let src = src.display();
        format!(
            "{src}:{line}: `{{{{ {expression} }}}}` is written as it is into a file that looks like {name}: whoever registers \
             decides what it says there; write `{{{{ {expression}|{filter} }}}}`, or `|safe` if that is meant"
        )
    };
    bare(source).into_iter().map(message).collect()
}

fn language(spec: &FileSpec, src: &Path) -> Option<&'static Language> {
    let program = spec.check.as_deref().and_then(|argv| Path::new(argv.first()?).file_name()?.to_str());
    let template = src.with_extension("");
    // `haproxy.cfg.j2` is made into a `haproxy.cfg`.
    let template =
        if src.extension().is_some_and(|last| ["j2", "jinja", "jinja2", "tmpl"].iter().any(|known| last == *known)) {
            template.as_path()
        } else {
            src
        };
    let by_program = |language: &&Language| program.is_some_and(|program| language.words.contains(&program));
    let by_path = |language: &&Language, path: &Path| {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        // A directory counts as well, as in `/etc/nginx/conf.d/db.conf`; a short word such as `sh` only as a program.
        let text = path.to_string_lossy();
        language.extensions.contains(&extension)
            || language
                .words
                .iter()
                .any(|word| word.len() > 4 && text.split(['/', '.', '-', '_']).any(|part| part == *word))
    };
    LANGUAGES.iter().find(by_program).or_else(|| {
        [&*spec.dest, template].into_iter().find_map(|path| LANGUAGES.iter().find(|language| by_path(language, path)))
    })
}

/// The expressions that write a value without a filter behind it.
pub(super) fn bare(source: &str) -> Vec<Bare> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(at) = rest.find("{{").into_iter().chain(rest.find("{#")).chain(rest.find("{%")).min() {
        let (kind, inside) = rest[at..].split_at(2);
        let end = match kind {
            "{{" => "}}",
            "{#" => "#}",
            _ => "%}",
        };
        let Some(length) = inside.find(end) else { return found };
        let (inside, after) = (&inside[..length], &inside[length + 2..]);
        let line = source[..source.len() - rest.len() + at].matches('\n').count() + 1;
        let words = inside.trim_matches(|c: char| c == '-' || c == '+' || c.is_whitespace());
        if kind == "{%" && words == "raw" {
            rest = after.split_once("endraw").map_or("", |(_, after)| after);
            continue;
        }
        if kind == "{{" && is_bare(words) {
            found.push(Bare { line, expression: words.to_owned() });
        }
        rest = after;
    }
    found
}

fn is_bare(expression: &str) -> bool {
    let plain = without_strings(expression);
    let filters = plain.split('|').skip(1);
    let last = filters.last().map(|filter| filter.trim().split(['(', ' ']).next().unwrap_or_default());
    if last.is_some_and(|last| HARMLESS.contains(&last)) {
        return false;
    }
    // `m.value`, `m.data.zone`, and `m['value']` or `map(attribute='value')`, whose strings are looked at as they are.
    let field = |field: &&str| {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        plain.match_indices(&format!(".{field}")).any(|(at, found)| !plain[at + found.len()..].starts_with(is_word))
            || [format!("'{field}"), format!("\"{field}")].iter().any(|quoted| {
                expression
                    .match_indices(quoted.as_str())
                    .any(|(at, found)| !expression[at + found.len()..].starts_with(is_word))
            })
    };
    FIELDS.iter().any(field)
}

/// With nothing in its strings: a `|` in one is no filter.
fn without_strings(expression: &str) -> String {
    let mut quote = None;
    let mut kept = String::with_capacity(expression.len());
    for c in expression.chars() {
        match quote {
            None if c == '\'' || c == '"' => quote = Some(c),
            None => kept.push(c),
            Some(open) if c == open => quote = None,
            Some(_) => {}
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::FileKind;

    #[test]
    fn finds_what_is_written_as_it_is() {
        let source = "{# {{ m.value }} #}\n{% for m in members %}\n  server {{ m.name }} {{m.value}};\n{{- m.data.zone -}}\n\
                      {{ m.value|quote }}{{ m.value | upper | json }}{{ m.data|safe }}{{ m.valued }}{{ m.host }}\n\
                      {{ clusters.db|map(attribute='value')|join('|') }} {{ m['data'].x }}\n{{ m.value|replace('|json', '') }}\n\
                      {% raw %}{{ m.value }}{% endraw %}{% endfor %}{{ m.value";
        let found: Vec<_> = bare(source).into_iter().map(|bare| (bare.line, bare.expression)).collect();
        let found: Vec<_> = found.iter().map(|(line, expression)| (*line, expression.as_str())).collect();
        assert_eq!(
            found,
            [
                (3, "m.value"),
                (4, "m.data.zone"),
                (6, "clusters.db|map(attribute='value')|join('|')"),
                (6, "m['data'].x"),
                (7, "m.value|replace('|json', '')"),
            ]
        );
    }

    #[test]
    fn knows_languages_by_their_files_and_programs() {
        let name = |dest: &str, src: &str, check: Option<&str>| {
            let mut spec = FileSpec::new(FileKind::Template, ["db"], dest);
            spec.check = check.map(|program| vec![program.to_owned(), "{src}".to_owned()]);
            language(&spec, Path::new(src)).map(|language| language.name)
        };
        assert_eq!(name("/etc/nginx/conf.d/db.conf", "/t/db.j2", None), Some("nginx"));
        assert_eq!(name("/run/db.cfg", "/t/haproxy.cfg.j2", None), Some("haproxy"));
        assert_eq!(name("/run/db.cfg", "/t/db", Some("/usr/sbin/haproxy")), Some("haproxy"));
        assert_eq!(name("/run/db.yml", "/t/db", None), Some("YAML"));
        assert_eq!(name("/run/db", "/t/db.env", None), Some("a shell"));
        assert_eq!(name("/run/db.conf", "/t/db.json.j2", Some("true")), Some("JSON"));
        assert_eq!(name("/run/sh/db.conf", "/t/db.j2", None), None);
    }

    #[test]
    fn says_where_and_what_to_write() {
        let said = warnings(&LANGUAGES[0], Path::new("/t/a.j2"), "\nset $a {{ m.value }};\n");
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with("/t/a.j2:2: `{{ m.value }}` is written as it is"), "{said:?}");
        assert!(said[0].contains("write `{{ m.value|nginx }}`"), "{said:?}");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(source in "([{}%#|'\"a.value é\n-]|raw|endraw|value){0,60}") {
            let _ = bare(&source);
        }
    }
}
