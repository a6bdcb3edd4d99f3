//! What another client of the registry may have written there. Whatever it is, it is data.

use std::time::Duration;

use cluster_control_tests::{Backend, Context, SOON, block_on, eventually};
use registry::{Key, RegisterOptions};
use serde_json::Value;

/// Values that mean something to shells and to the languages of configuration files.
const VALUES: [&str; 14] = [
    "10.0.0.1:80",
    "$(touch pwned)",
    "`touch pwned`",
    "';touch pwned;'",
    "\"; touch pwned; \"",
    "$HOME ${HOME} %HOME% %s %n",
    "a\ntouch pwned\nb",
    "a\r\n\r\nb",
    "}\nserver { listen 666; }",
    "}}{{ 7*7 }}{% for x in y %}",
    "\u{1b}[2J\u{7}",
    "{\"zone\": \"a\\nb\", \"deep\": [[[{}]]]}",
    "../../etc/passwd",
    "\\",
];

const FILES: &str = r#"
[[file]]
kind = "json"
watch = ["db"]
dest = "names.json"
[[file]]
kind = "json"
shape = "map"
watch = ["db"]
dest = "map.json"
[[file]]
kind = "json"
shape = "full"
watch = ["db"]
dest = "full.json"
[[file]]
kind = "lines"
watch = ["db"]
dest = "db.txt"
[[file]]
kind = "env"
watch = ["db"]
dest = "db.env"
[[file]]
kind = "template"
watch = ["db"]
src = "list.j2"
dest = "list.txt"
[[file]]
kind = "haproxy"
watch = ["db"]
dest = "haproxy.cfg"
[[file]]
kind = "nginx"
watch = ["db"]
dest = "nginx.conf"
[[file]]
kind = "hosts"
watch = ["db"]
dest = "hosts"
"#;

fn configure(context: &Context) {
    let db = context.at("db");
    let head = format!("[registry]\nurl = \"{}\"\n[[watch]]\nname = \"db\"\npath = \"{db}\"\n", context.url());
    context.write("cluster-control.toml", head + FILES);
    context.write("list.j2", "{% for m in members %}\n<{{ m.name }}={{ m.value }}>\n{% endfor %}\n");
}

pub(crate) fn values(context: &Context) {
    configure(context);
    let names: Vec<_> = (10..10 + VALUES.len()).map(|number| format!("member-{number}:80")).collect();
    block_on(async {
        let registry = registry::connect(&context.url()).expect("a registry");
        let options = RegisterOptions::new().ttl(Duration::from_mins(10));
        for (name, value) in names.iter().zip(VALUES) {
            let key = Key::parse(&context.at(&format!("db/{name}"))).expect("a key");
            registry.register(&key, value.into(), &options).await.unwrap_or_else(|error| panic!("{error}"));
        }
    });
    let done = context.program(["render"]).finish(SOON);
    assert_eq!((done.code, done.stdout.as_str()), (0, ""), "{done:?}");

    let file = |name: &str| context.read(name).unwrap_or_else(|| panic!("{name} was not written"));
    let json =
        |name: &str| serde_json::from_str::<Value>(&file(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(json("names.json"), Value::from(names.clone()));
    for (number, (name, value)) in names.iter().zip(VALUES).enumerate() {
        let data: Value = serde_json::from_str(value).unwrap_or(Value::from(value));
        assert_eq!(json("map.json")[name], data);
        assert_eq!(
            (&json("full.json")[number]["name"], &json("full.json")[number]["value"]),
            (&Value::from(name.as_str()), &Value::from(value))
        );
    }
    assert_eq!(file("db.txt").lines().collect::<Vec<_>>(), names);

    // A template's author thinks of no line feeds: who has one is left out, and that is said.
    let lines = file("list.txt");
    let clean: Vec<_> = names.iter().zip(VALUES).filter(|(_, value)| !value.contains(char::is_control)).collect();
    for (name, value) in &clean {
        if serde_json::from_str::<Value>(value).is_err() {
            assert!(lines.contains(&format!("<{name}={value}>\n")), "{name}: {lines}");
        }
    }
    assert!(lines.lines().all(|line| line.starts_with('<') && line.ends_with('>')), "{lines}");
    assert!(done.stderr.contains("list.txt") && done.stderr.contains("control character"), "{}", done.stderr);

    for (name, braces) in [("nginx.conf", 1), ("haproxy.cfg", 0)] {
        let text = file(name);
        assert_eq!((text.matches('{').count(), text.matches('}').count()), (braces, braces), "{name}: {text}");
        assert_eq!(
            text.lines().filter(|line| line.trim_start().starts_with("server ")).count(),
            VALUES.len(),
            "{text}"
        );
        assert!(!text.contains("pwned") && !text.contains("666"), "{name}: {text}");
    }
    let strange = |line: &&str| !line.starts_with('#') && !line.starts_with("10.0.0.1\t");
    assert_eq!(file("hosts").lines().find(strange), None, "only who has an address is there: {}", file("hosts"));

    let count = VALUES.len();
    let script = format!("set -eu; . ./db.env; test \"$DB_COUNT\" = {count}; printf %s \"$DB_MEMBERS\"");
    let read = context.script(&script).finish(SOON);
    assert_eq!((read.code, read.stdout), (0, names.join(",")), "{}", read.stderr);
    assert_eq!(context.read("pwned"), None);

    // And as data for programs that ask.
    let done = context.program(["members", &context.at("db"), "--output", "ndjson"]).finish(SOON);
    let values: Vec<_> =
        done.stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["value"].clone()).collect();
    assert_eq!(values, VALUES);
}

/// Names that this program would never write. Each is left out and told of; the others are served.
pub(crate) fn names(context: &Context) {
    configure(context);
    let (v2, v3): (&[&str], &[&str]) = (
        &["%24%28touch%20pwned%29", "a%0Atouch%20pwned", "%ff%fe", "a%20b", "%7D", "%3Cscript%3E", "caf%C3%A9"],
        &["$(touch pwned)", "a\ntouch pwned", "a b", "}", "<script>", "café", "_hidden", "..", "a\\b", "{{ x }}"],
    );
    if context.backend == Backend::EtcdV2 {
        for name in v2 {
            // What the server itself does not take cannot harm.
            context.witness.v2("PUT", &context.at(&format!("db/{name}")), "value=0");
        }
    } else {
        for name in v3 {
            context.witness.put(&context.at(&format!("db/{name}")), "0");
        }
    }
    context.witness.put(&context.at("db/10.0.0.1:80"), "0");
    let done = context.program(["render"]).finish(SOON);
    assert_eq!((done.code, done.stdout.as_str()), (0, ""), "{done:?}");
    assert_eq!(context.read("names.json").as_deref(), Some("[\"10.0.0.1:80\"]"));
    assert_eq!(context.read("db.txt").as_deref(), Some("10.0.0.1:80\n"));
    assert!(done.stderr.contains("skipped") || done.stderr.contains("left out"), "it is told: {}", done.stderr);
    assert!(!done.stderr.contains(|c: char| c.is_control() && c != '\n'), "{:?}", done.stderr);
    assert_eq!(context.read("pwned"), None);

    // A watch meets them as well, and goes on.
    let watch = context.program(["watch", &context.at("db")]).start();
    eventually(SOON, "the snapshot", || watch.stdout().lines().count() == 1);
    match context.backend {
        Backend::EtcdV2 => drop(context.witness.v2("PUT", &context.at("db/b%20ad"), "value=0")),
        _ => context.witness.put(&context.at("db/b ad"), "0"),
    }
    context.witness.put(&context.at("db/10.0.0.2:80"), "0");
    eventually(SOON, "the change", || watch.stdout().contains("10.0.0.2:80"));
    assert!(!watch.stdout().contains("b ad"), "{}", watch.stdout());
}
