//! Names and values that no registry should see.

use std::fs;

use cluster_control_tests::{Backend, Context, SOON, Sandbox};

use crate::case::{CHECK, Case, RUN, configure, refused};

/// Each with a word of the rule that it breaks.
fn bad_names() -> Vec<(String, &'static str)> {
    vec![
        (String::new(), "empty"),
        (".".into(), "begin with a letter or digit"),
        ("..".into(), "begin with a letter or digit"),
        ("../../etc/passwd".into(), ""),
        ("a/../b".into(), ""),
        ("_hidden".into(), "begin with a letter or digit"),
        ("a b".into(), "' '"),
        ("a\nb".into(), r"'\n'"),
        ("a\tb".into(), r"'\t'"),
        ("\u{1b}[31m".into(), r"'\u{1b}'"),
        ("a%2Fb".into(), "'%'"),
        ("a\\b".into(), "not valid"),
        ("a?b#c".into(), "'?'"),
        ("$(id)".into(), "not valid"),
        ("n\u{e4}me".into(), "not valid"),
        ("a".repeat(300), "255"),
        ("a".repeat(10_000), "512"),
    ]
}

pub(crate) fn of_members_and_clusters(context: &Context) {
    configure(context, format!("[registry]\nurl = \"{}\"\n", context.url()));
    let web = context.at("web");
    for (name, rule) in bad_names() {
        let key = format!("{web}/{name}");
        Case::new(["register", "--once", "--cluster", &web, &format!("--id={name}")]).ends(context, 2, &[rule]);
        Case::new(["run", "--cluster", &web, &format!("--id={name}"), "--", "touch", "started"]).ends(
            context,
            2,
            &[rule],
        );
        Case::new(["evict", &web, "--", &name]).ends(context, 2, &[rule]);
        Case::new(["members", &key]).ends(context, 2, &["not valid"]);
        Case::new(["register", "--once", &format!("--key={key}")]).ends(context, 2, &["not valid"]);
    }
    for command in [&["register", "--once", "--cluster"][..], &["run", "--cluster"]] {
        let arguments =
            [command, &[&web, "--id", "a/b"], &["--", "touch", "started"][..if command[0] == "run" { 3 } else { 0 }]];
        Case::new(arguments.concat()).ends(context, 2, &["\"a/b\"", "`/`"]);
    }
    Case::new(["evict", &web, "a/b"]).ends(context, 2, &["\"a/b\"", "`/`"]);
    Case::new(["register", "--once", "--key", "/alone"]).ends(context, 2, &["directory and a name"]);
    Case::new(["members", "/"]).ends(context, 2, &["root"]);
    assert_eq!(context.witness.names(&web), Vec::<String>::new());
}

/// The one place where a zero byte can be written.
pub(crate) fn in_the_configuration(sandbox: &Sandbox) {
    for (name, shown) in [(r"a\u0000b", r"\0"), (r"a\nb", r"\n"), ("..", ".."), ("a/../b", "a/../b"), ("", "")] {
        refused(
            sandbox,
            format!("{{\"self\": {{\"key\": \"/web/{name}\", \"ttl\": 5, \"heartbeat\": 1}}}}"),
            &[RUN, CHECK],
            &["self.key", shown],
        );
        refused(
            sandbox,
            format!("{{\"clusters\": [{{\"name\": \"db\", \"path\": \"/db/{name}/x\"}}]}}"),
            &[RUN, CHECK],
            &["clusters[0]", "path", shown],
        );
        refused(sandbox, format!("[self]\ncluster = \"web\"\nid = \"{name}\""), &[RUN, CHECK], &["self", shown]);
        refused(
            sandbox,
            format!("[[watch]]\nname = \"db\"\npath = \"/db/{name}/x\""),
            &[RUN, CHECK],
            &["watch", shown],
        );
    }
    refused(sandbox, "[self]\ncluster = \"web\"\nid = \"a/b\"", &[RUN, CHECK], &["self", "`/`"]);
    let long = "a".repeat(10_000);
    refused(sandbox, format!("[self]\ncluster = \"web\"\nid = \"{long}\""), &[RUN, CHECK], &["10000 bytes"]);
}

/// Two megabytes; more than a command line can hold, but not more than a file can.
pub(crate) fn of_values(context: &Context) {
    fs::write(context.path("large"), "x".repeat(2_000_000)).expect("a file");
    let own = format!("[self]\nkey = \"{}\"\nvalue = \"${{file:large}}\"", context.key());
    refused(
        context,
        format!("[registry]\nurl = \"{}\"\n{own}", context.url()),
        &[RUN, CHECK, &["heartbeat", "--once"], &["register", "--once"]],
        &["2000000 bytes", "65536"],
    );
    configure(context, format!("[registry]\nurl = \"{}\"\n", context.url()));
    let value = "x".repeat(100_000);
    Case::new(["register", "--once", "--key", &context.key(), "--value", &value]).ends(
        context,
        2,
        &["100000 bytes", "65536"],
    );
    assert_eq!(context.witness.get(&context.key()), None);
    let most = "x".repeat(65_536);
    let done = context.program(["register", "--once", "--key", &context.key(), "--value", &most]).finish(SOON);
    assert_eq!((done.code, done.stdout.as_str()), (0, ""), "{done:?}");
    assert_eq!(context.witness.get(&context.key()), Some(most));
}

/// Only etcd v2 knows directories: there an entry cannot be one.
pub(crate) fn of_a_directory(context: &Context) {
    configure(context, format!("[registry]\nurl = \"{}\"\n", context.url()));
    context.witness.put(&context.at("web/directory/10.0.0.1:80"), "0");
    context.witness.put(&context.at("web/10.0.0.2:80"), "0");
    let done = context.program(["members", &context.at("web")]).finish(SOON);
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (0, "10.0.0.2:80\n"),
        "what is in a directory below is no member: {done:?}"
    );

    let code = if context.backend == Backend::EtcdV2 { 78 } else { 4 };
    Case::new(["evict", &context.at("web"), "directory"]).ends(context, code, &[&context.at("web/directory")]);
    if context.backend == Backend::EtcdV2 {
        Case::new(["register", "--once", "--key", &context.at("web/directory")]).ends(
            context,
            78,
            &[&context.at("web/directory"), "is a directory"],
        );
        // And nothing can be below an entry.
        Case::new(["register", "--once", "--key", &context.at("web/10.0.0.2:80/x")]).ends(
            context,
            78,
            &["10.0.0.2:80", "not a directory"],
        );
    }
    assert_eq!(context.witness.names(&context.at("web/directory")), ["10.0.0.1:80"], "it is untouched");
}
