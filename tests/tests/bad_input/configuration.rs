//! Configurations that cannot be meant.

use cluster_control_tests::{Context, SOON, Sandbox};

use crate::case::{CHECK, Case, RUN, configure, refused};

const PREPARE: &[&str] = &["clusterprepare", "db"];
const RENDER: &[&str] = &["render"];
const HEARTBEAT: &[&str] = &["heartbeat", "--once"];

/// File, line and column.
pub(crate) fn malformed(sandbox: &Sandbox) {
    for (text, place) in [
        ("{\n \"etcd\": {\"server\": \"http://h:4001\"},,\n}", ["line 2", "column"]),
        ("{\"self\":", ["line 1", "column"]),
        ("{\n\"self\": {\"key\": \"/a/b\", \"ttl\": \"ten\", \"heartbeat\": 1}}", ["line 2", "column"]),
        ("{\"clusters\": {}}", ["line 1", "column"]),
        ("{\"clusters\": [{\"path\": \"/a\"}]}", ["line 1", "`name`"]),
        ("{} {}", ["line 1", "trailing"]),
        ("[self\nkey = \"/a/b\"", ["line 1", "column"]),
        ("[self]\nkey = \"/a/b\"\nttl = 5", ["line 3", "column 7"]),
        ("[self]\nkey = \"/a/b\n", ["line 2", "column"]),
        ("[self]\nkey = \"/a/b\"\nkey = \"/a/c\"", ["line 3", "duplicate"]),
        ("[[file]]\nkind = \"json\"\nwatch = [\"a\"]", ["line 1", "`dest`"]),
        ("\n\n[[file]]\nkind = \"jsn\"\nwatch = [\"a\"]\ndest = \"out.json\"", ["line 4", "did you mean `json`"]),
        ("just text", ["line 1", "column"]),
        ("[registry]\nurl = \"${CLUSTER_UNSET}\"", ["line 2", "CLUSTER_UNSET is not set"]),
        ("[registry]\nurl = \"${file:/no/such/file}\"", ["line 2", "/no/such/file"]),
    ] {
        refused(sandbox, text, &[RUN, CHECK, PREPARE, RENDER, HEARTBEAT], &place);
    }
}

/// The nearest known one.
pub(crate) fn unknown_keys(sandbox: &Sandbox) {
    for (text, given, near) in [
        ("{\"self\": {\"key\": \"/a/b\", \"ttl\": 5, \"hearbeat\": 1}}", "hearbeat", "heartbeat"),
        ("{\"cluster\": []}", "cluster", "clusters"),
        ("{\"clusters\": [{\"name\": \"a\", \"pth\": \"/a\"}]}", "pth", "path"),
        ("{\"etcd\": {\"sever\": \"http://h\"}}", "sever", "server"),
        ("[regsitry]\nurl = \"env:\"", "regsitry", "registry"),
        ("[registry]\nurll = \"env:\"", "urll", "url"),
        ("[child]\nstop_timout = \"1s\"", "stop_timout", "stop_timeout"),
        ("[self]\ncluster = \"a\"\nttll = \"5s\"", "ttll", "ttl"),
        ("[[watch]]\nname = \"a\"\npaht = \"/a\"", "paht", "path"),
        ("[[notify]]\nname = \"a\"\nkind = \"exec\"\nargs = [\"true\"]", "args", "argv"),
        ("[[file]]\nkind = \"json\"\nwatch = [\"a\"]\ndest = \"out.json\"\nnotfy = []", "notfy", "notify"),
        ("[health]\ntcp = \"h:1\"\nfal = 1", "fal", "fall"),
    ] {
        refused(sandbox, text, &[RUN, CHECK], &[&format!("`{given}`"), &format!("did you mean `{near}`?")]);
    }
}

pub(crate) fn times(sandbox: &Sandbox) {
    for (text, says) in [
        ("{\"self\": {\"key\": \"/a/b\", \"ttl\": 5, \"heartbeat\": 5}}", "longer than self.heartbeat"),
        ("{\"self\": {\"key\": \"/a/b\", \"ttl\": 5, \"heartbeat\": 6}}", "longer than self.heartbeat"),
        ("{\"self\": {\"key\": \"/a/b\", \"ttl\": 0, \"heartbeat\": 0}}", "longer than nothing"),
        ("{\"self\": {\"key\": \"/a/b\", \"ttl\": -1, \"heartbeat\": 1}}", "-1"),
        ("[self]\nkey = \"/a/b\"\nttl = \"5s\"\nheartbeat = \"5s\"", "longer than self.heartbeat"),
        ("[self]\nkey = \"/a/b\"\nttl = \"5\"", "unit"),
        ("[self]\nkey = \"/a/b\"\nttl = \"-5s\"", "duration"),
        ("[self]\nkey = \"/a/b\"\nttl = \"99999999999999999999s\"", "duration"),
        ("[health]\ntcp = \"h:1\"\ninterval = \"soon\"", "duration"),
    ] {
        refused(sandbox, text, &[RUN, CHECK, HEARTBEAT], &[says]);
    }
    configure(sandbox, "[self]\nkey = \"/a/b\"\nttl = \"10s\"\nheartbeat = \"5s\"");
    Case::new(["run", "--ttl", "5", "--", "touch", "started"]).ends(sandbox, 2, &["--ttl", "unit"]);
    Case::new(["run", "--start-timeout", "x", "--", "touch", "started"]).ends(sandbox, 2, &["--start-timeout"]);
}

/// What one registry can do, another cannot: it says its limits.
pub(crate) fn impossible_ttl(context: &Context) {
    for ttl in ["1ms", "1000d"] {
        let registry = format!("[registry]\nurl = \"{}\"\n", context.url());
        refused(
            context,
            format!("{registry}[self]\nkey = \"{}\"\nttl = \"{ttl}\"", context.key()),
            &[RUN, CHECK, HEARTBEAT],
            &["a time to live of", "allowed is"],
        );
        configure(context, &registry);
        Case::new(["run", "--key", &context.key(), "--ttl", ttl, "--", "touch", "started"]).ends(
            context,
            2,
            &["a time to live of", "allowed is"],
        );
    }
    assert_eq!(context.witness.get(&context.key()), None);
}

/// `env:` cannot register at all.
pub(crate) fn unsupported(sandbox: &Sandbox) {
    let file = configure(sandbox, "[registry]\nurl = \"env:\"\n[self]\nkey = \"/a/b\"");
    for command in [RUN, CHECK, HEARTBEAT] {
        Case::new(command.iter()).env("CLUSTER_MEMBERS", "a:1").ends(sandbox, 78, &[file, "read-only"]);
    }
    // Nobody who asks for members that were never given gets an empty list.
    Case::new(["members", "/db"]).ends(sandbox, 78, &["CLUSTER_MEMBERS", "not set"]);
}

/// What cannot be together, or refers to what is not there.
pub(crate) fn contradictions(sandbox: &Sandbox) {
    let file = "[[watch]]\nname = \"db\"\n[[file]]\nkind = \"json\"\nwatch = [\"db\"]\ndest = \"out.json\"\n";
    for (text, says) in [
        (
            format!("{file}notify = [\"relaod\"]\n[[notify]]\nname = \"reload\"\nkind = \"exec\"\nargv = [\"true\"]"),
            "relaod",
        ),
        (format!("{file}[[watch]]\nname = \"db\""), "two clusters"),
        (format!("{file}src = \"x\""), "`src`"),
        (format!("{file}mode = \"999\""), "mode"),
        (format!("{file}owner = \"no-such-user\""), "no-such-user"),
        (
            format!(
                "{file}{}",
                file.split_once('\n').map_or("", |(_, rest)| &rest[rest.find("[[file]]").unwrap_or(0)..])
            ),
            "out.json",
        ),
        ("[[file]]\nkind = \"json\"\nwatch = [\"db\"]\ndest = \"out.json\"".into(), "not watched"),
        ("[[notify]]\nname = \"a\"\nkind = \"exec\"".into(), "argv"),
        ("[[notify]]\nname = \"a\"\nkind = \"signal\"\nsignal = \"NOPE\"".into(), "NOPE"),
        ("[child]\nstop_signal = \"NOPE\"".into(), "NOPE"),
        ("[ready]\ntcp = \"h\"".into(), "host:port"),
        ("[ready]\nexec = []".into(), "exactly one"),
        ("version = 2".into(), "version 2"),
    ] {
        refused(sandbox, text, &[RUN, CHECK], &[says]);
    }
}

pub(crate) fn not_utf8(sandbox: &Sandbox) {
    refused(sandbox, b"[self]\nkey = \"/a/\xff\"", &[RUN, CHECK, HEARTBEAT], &["line 2", "UTF-8"]);
    refused(sandbox, b"{\"self\":\n\n\"\xc3\x28\"}", &[RUN, CHECK, HEARTBEAT], &["line 3", "UTF-8"]);
    let file = configure(sandbox, "[self]\nkey = \"/a/${CLUSTER_NAME}\"");
    Case::new(RUN.iter()).env("CLUSTER_NAME", b"\xff").ends(sandbox, 78, &[file, "CLUSTER_NAME", "UTF-8"]);
    configure(sandbox, "");
    Case::new(RUN.iter()).env("CLUSTER_CONTROL_REGISTRY", b"\xff").ends(sandbox, 2, &["UTF-8"]);
    let word: std::ffi::OsString = std::os::unix::ffi::OsStringExt::from_vec(b"\xff".to_vec());
    Case::new(["members".into(), word]).ends(sandbox, 2, &["UTF-8"]);
    for (members, says) in
        [(&b"a:1,\xff"[..], "UTF-8"), (b"a:1,a/b", "member 2"), (b"a:1,a:1", "a:1"), (b"[\"a\"", "member 1")]
    {
        let case = Case::new(["--registry", "env:", "members", "db"]).env("CLUSTER_MEMBERS_DB", members);
        case.ends(sandbox, 78, &["CLUSTER_MEMBERS_DB", says]);
    }
}

/// A directory where a file is expected.
pub(crate) fn directories(sandbox: &Sandbox) {
    std::fs::create_dir(sandbox.path("directory")).expect("a directory");
    Case::new(["--config", "directory", "config", "check"]).ends(sandbox, 78, &["directory: ", "not a file"]);
    Case::new(["--config", "missing", "config", "check"]).ends(sandbox, 78, &["missing: ", "No such file"]);
    let url = format!("sqlite://{}", sandbox.path("directory").display());
    Case::new(["--registry", &url, "members", "db"]).ends(sandbox, 78, &["directory"]);
    let watch = "[[watch]]\nname = \"db\"\n[[file]]\nwatch = [\"db\"]\n";
    refused(
        sandbox,
        format!("{watch}kind = \"template\"\nsrc = \"directory\"\ndest = \"out.json\""),
        &[RUN, CHECK],
        &["directory"],
    );
    for dest in ["directory", "no/such/directory/out.json"] {
        configure(sandbox, format!("{watch}kind = \"json\"\ndest = \"{dest}\""));
        Case::new(RUN.iter()).ends(sandbox, 1, &[dest]);
        Case::new(PREPARE.iter()).ends(sandbox, 1, &[dest]);
    }
}

/// What is registered decides what such a file says: it works, and is warned of.
pub(crate) fn templates(sandbox: &Sandbox) {
    let source =
        "{% for m in members %}\nset $zone {{ m.value }};\nserver {{ m.name }} {{ m.value|nginx }};\n{% endfor %}\n";
    sandbox.write("nginx.conf.j2", source);
    sandbox.write(
        "cluster-control.toml",
        "[registry]\nurl = \"env:\"\n[[watch]]\nname = \"db\"\n[[file]]\nkind = \"template\"\nsrc = \"nginx.conf.j2\"\n\
         watch = [\"db\"]\ndest = \"db.conf\"\n",
    );
    for arguments in [&["config", "check"][..], &["render", "--dry-run"]] {
        let done = sandbox.program(arguments).env("CLUSTER_MEMBERS_DB", "10.0.0.1:80").finish(SOON);
        assert_eq!(done.code, 0, "{done:?}");
        let warnings: Vec<_> = done.stderr.lines().filter(|line| line.contains("is written as it is")).collect();
        assert_eq!(warnings.len(), 1, "{done:?}");
        let wanted = "nginx.conf.j2:2: `{{ m.value }}` is written as it is into a file that looks like nginx";
        assert!(warnings[0].contains(wanted) && warnings[0].contains("`{{ m.value|nginx }}`"), "{done:?}");
    }
}
