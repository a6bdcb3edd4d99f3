//! Hostile members never break the syntax of a file: every kind is read back by a strict reader of its language.

use std::time::Duration;

use processes::{Command, Output, Processes};
use proptest::prelude::*;
use registry_core::{Bytes, Name};

use super::Renderer;
use crate::members::Members;
use crate::model::Model;
use crate::spec::{FileKind, FileSpec, Shape};

/// A model as the registry would give it: sorted, and with names that it allows.
pub(super) fn model(clusters: &[(&str, &[(&str, &str)])]) -> Model {
    let members = |members: &[(&str, &str)]| -> Members {
        let member =
            |(name, value): &(&str, &str)| (Name::new(name).unwrap(), Bytes::copy_from_slice(value.as_bytes()));
        members.iter().map(member).collect()
    };
    Model { clusters: clusters.iter().map(|(name, list)| ((*name).to_owned(), members(list))).collect() }
}

/// Every name that the registry allows, most of them nearly addresses.
fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9\\[][a-zA-Z0-9._:@+=~,\\[\\]-]{0,20}",
        "[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]\\.[0-9]:[0-9]{1,5}",
        "\\[[a-f0-9:]{2,8}\\]:[0-9]{1,4}",
    ]
}

/// Arbitrary bytes, and what people try.
fn values() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        "[\\n\\r\0;{}$()`\"'#/\\\\ a:1-9.]{0,20}".prop_map(String::into_bytes),
        Just(b"$(id)`id`\"; }\n../../etc/passwd".to_vec()),
        Just("\u{202e}07.0.0.1:08\u{2066}' \u{feff}\u{85}".into()),
        Just(b"\xff\xfe'\\''\0$(touch /tmp/x)\n}".to_vec()),
        Just(b"10.0.0.1:80".to_vec()),
        Just(b"{\"a\":\"\\n\\u0000\"}".to_vec()),
    ]
}

fn models() -> impl Strategy<Value = Model> {
    let members = proptest::collection::btree_map(names(), values(), 0..6);
    members.prop_map(|members| {
        let members = members.into_iter().map(|(name, value)| (Name::new(&name).unwrap(), Bytes::from(value)));
        Model { clusters: [("db".to_owned(), members.collect())].into() }
    })
}

fn spec() -> FileSpec {
    FileSpec::new(FileKind::Template, ["db"], "/nowhere/x")
}

/// The parameters of a line of nginx's configuration, as its `ngx_conf_read_token` reads them.
fn nginx_words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = line.chars();
    loop {
        match rest.next()? {
            ' ' => {}
            ';' => return rest.next().is_none().then_some(words),
            '"' => {
                let mut word = String::new();
                loop {
                    match rest.next()? {
                        '"' => break,
                        '\\' => match rest.next()? {
                            c @ ('"' | '\'' | '\\') => word.push(c),
                            't' | 'r' | 'n' => return None,
                            c => word.extend(['\\', c]),
                        },
                        // It would be the name of a variable.
                        '$' => return None,
                        c => word.push(c),
                    }
                }
                words.push(word);
            }
            c if c.is_ascii_alphanumeric() => {
                let word: String =
                    std::iter::once(c).chain(rest.clone().take_while(char::is_ascii_alphanumeric)).collect();
                rest.nth(word.len().checked_sub(2)?);
                words.push(word);
            }
            _ => return None,
        }
    }
}

fn text(renderer: &Renderer, model: &Model, existing: &str) -> String {
    String::from_utf8(renderer.render(model, existing.as_bytes()).unwrap().bytes).unwrap()
}

/// Has a shell with an empty environment read a file, and tells what these variables are then; a file that does more than
/// set them, or that the shell does not understand, is an error.
fn in_a_shell(file: &str, variables: &[&str]) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, file).unwrap();
    let shown: Vec<_> = variables.iter().map(|variable| format!("\"${variable}\"")).collect();
    let script = format!("set -eu; . \"$0\"; printf '%s\\0' {}", shown.join(" "));
    // All children of this process are waited for in one place, which would take any other's away.
    let processes = Processes::start().unwrap();
    let output = Output::Capture { limit: 1 << 20 };
    let shell = Command::new("/bin/sh").args(["-c", script.as_str()]).arg(&path).clear_env().env("PATH", "/nowhere");
    let shell = shell.directory(directory.path()).stdout(output).stderr(output);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ended = runtime.block_on(processes.run_to_end(shell, Duration::from_mins(1))).unwrap();
    assert!(ended.success() && ended.stderr.bytes.is_empty(), "{ended:?} for {file:?}");
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1, "{file:?} has made a file");
    let told = String::from_utf8(ended.stdout.bytes).unwrap();
    let told: Vec<_> = told.split_terminator('\0').map(str::to_owned).collect();
    if variables.is_empty() { Vec::new() } else { told }
}

/// A word without a character that means anything in the languages below.
fn is_plain(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:.-[]".contains(&byte))
}

proptest! {
    #[test]
    fn json_is_json(model in models()) {
        for shape in [Shape::Names, Shape::Full, Shape::HostPort, Shape::Map] {
            let read: serde_json::Value = serde_json::from_str(&text(&Renderer::Json(shape), &model, "")).unwrap();
            let count = read.as_array().map(Vec::len).or(read.as_object().map(serde_json::Map::len)).unwrap();
            let members = &model.clusters["db"];
            let wanted = if shape == Shape::HostPort { members.each().filter(|m| m.address().is_some()).count() } else { members.len() };
            prop_assert_eq!(count, wanted);
        }
    }

    #[test]
    fn lines_are_names(model in models()) {
        let text = text(&Renderer::Lines, &model, "");
        let names: Vec<_> = model.clusters["db"].names().map(Name::as_str).collect();
        prop_assert_eq!(text.lines().collect::<Vec<_>>(), names);
    }

    #[test]
    fn env_is_three_quoted_variables(model in models()) {
        let text = text(&Renderer::Env, &model, "");
        prop_assert_eq!(text.lines().count(), 3);
        for line in text.lines() {
            let value = line.split_once('=').unwrap().1.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
            prop_assert!(!value.contains(['"', '$', '`', '\\', '\n']), "{}", line);
        }
    }

    /// The judge is the shell itself.
    #[test]
    fn a_shell_reads_an_env_file_as_it_is_meant(model in models()) {
        let told = in_a_shell(&text(&Renderer::Env, &model, ""), &["DB_COUNT", "DB_MEMBERS", "DB_HOSTS"]);
        let names: Vec<_> = model.clusters["db"].names().map(Name::as_str).filter(|name| !name.contains(',')).collect();
        prop_assert_eq!(&told[..2], [names.len().to_string(), names.join(",")]);
        prop_assert!(told[2].split(',').all(|host| host.is_empty() || is_plain(host)), "{:?}", told);
    }

    /// Whatever a value holds, it is one word, and JSON is JSON.
    #[test]
    fn a_value_that_a_template_quotes_is_one_word(model in models()) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("t.j2");
        let each = "{% for m in members %}V{{ loop.index0 }}={{ m.value|quote }}\nJ{{ loop.index0 }}={{ m|json|quote }}\n{% endfor %}";
        std::fs::write(&path, each).unwrap();
        let renderer = Renderer::Template(Box::new(super::Template::load(&path, &spec()).unwrap()));
        let (members, text) = (&model.clusters["db"], text(&renderer, &model, ""));
        // Whoever holds a control character is left out.
        let kept = text.lines().count() / 2;
        prop_assert!(kept >= members.each().filter(|m| m.data().is_none() && !m.value().contains(char::is_control)).count());
        let names: Vec<_> = (0..kept).flat_map(|n| [format!("V{n}"), format!("J{n}")]).collect();
        let told = in_a_shell(&text, &names.iter().map(String::as_str).collect::<Vec<_>>());
        prop_assert_eq!(told.len(), names.len());
        for pair in told.chunks(2) {
            let read: serde_json::Value = serde_json::from_str(&pair[1]).unwrap();
            let member = members.each().find(|member| read["name"] == member.name).unwrap();
            // A value that is JSON is written anew, in its shortest form.
            let value = member.data().as_ref().map_or_else(|| member.value().into_owned(), ToString::to_string);
            prop_assert_eq!(&pair[0], &value);
        }
    }

    /// Whatever a value holds, it is one string of TOML and YAML, and one parameter of nginx.
    #[test]
    fn a_value_that_a_template_escapes_is_itself(model in models()) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("t.j2");
        let each = "{% for m in members %}set {{ m.value|nginx }};\nv = {{ m.value|toml }}\n{{ m.value|yaml }}\n{% endfor %}";
        std::fs::write(&path, each).unwrap();
        let renderer = Renderer::Template(Box::new(super::Template::load(&path, &spec()).unwrap()));
        let text = text(&renderer, &model, "");
        let lines: Vec<_> = text.lines().collect();
        let values = model.clusters["db"].each().map(|member| {
            member.data().as_ref().map_or_else(|| member.value().into_owned(), ToString::to_string)
        });
        let mut values = values.filter(|value| !value.contains(char::is_control));
        for three in lines.chunks(3) {
            let words = nginx_words(three[0]);
            let table: toml::Table = three[1].parse().unwrap();
            let toml = table["v"].as_str().unwrap();
            let yaml: String = serde_json::from_str(three[2]).unwrap();
            // Those whose JSON holds a control character are left out too.
            prop_assert!(values.any(|value| value == toml), "{:?}", three);
            prop_assert_eq!(&yaml, toml);
            prop_assert_eq!(words, Some(vec!["set".to_owned(), toml.replace('$', "_")]));
            prop_assert!(!three[2].contains(['\u{2028}', '\u{2029}', '\u{feff}', '\u{7f}']), "{:?}", three);
        }
    }

    #[test]
    fn nginx_is_one_block_of_servers(model in models()) {
        let text = text(&Renderer::Nginx, &model, "");
        let inner = text.strip_prefix("upstream db {\n").unwrap().strip_suffix("}\n").unwrap();
        prop_assert!(inner.lines().count() >= 1);
        for line in inner.lines() {
            let words: Vec<_> = line.strip_prefix("    server ").unwrap().strip_suffix(';').unwrap().split(' ').collect();
            prop_assert!(words.iter().all(|word| is_plain(word)) && (words.len() == 1 || words[1..] == ["down"]), "{}", line);
        }
    }

    #[test]
    fn haproxy_is_a_backend_of_servers(model in models()) {
        let text = text(&Renderer::Haproxy, &model, "");
        for line in text.strip_prefix("backend db\n").unwrap().lines() {
            let words: Vec<_> = line.strip_prefix("    server ").unwrap().split(' ').collect();
            prop_assert!(words.len() >= 2 && words[..2].iter().all(|word| is_plain(word)), "{}", line);
            let options = ["", "check", "init-addr last,libc,none", "check init-addr last,libc,none"];
            prop_assert!(options.contains(&words[2..].join(" ").as_str()), "{}", line);
            prop_assert!(!words[0].contains(['[', ']']), "{}", line);
        }
    }

    #[test]
    fn hosts_is_a_block_of_addresses(model in models()) {
        let renderer = Renderer::Hosts { block: "cc".into() };
        let text = text(&renderer, &model, "127.0.0.1 localhost\n");
        let inner = text.strip_prefix("127.0.0.1 localhost\n# BEGIN cc\n").unwrap().strip_suffix("# END cc\n").unwrap();
        for line in inner.lines() {
            let (ip, names) = line.split_once('\t').unwrap();
            prop_assert!(ip.parse::<std::net::IpAddr>().is_ok(), "{}", line);
            prop_assert!(names.split(' ').all(is_plain), "{}", line);
        }
    }

    #[test]
    fn a_template_gets_no_line_feed_from_a_member(model in models()) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("t.j2");
        let fields = "{{ m.value }} {{ m.data|default('') }} {{ m.host|default('') }}";
        std::fs::write(&path, format!("{{% for m in members %}}{fields}<end>\n{{% endfor %}}")).unwrap();
        let renderer = Renderer::Template(Box::new(super::Template::load(&path, &spec()).unwrap()));
        let text = text(&renderer, &model, "");
        prop_assert!(text.split_terminator('\n').all(|line| line.ends_with("<end>") && !line.contains(char::is_control)), "{:?}", text);
    }
}
