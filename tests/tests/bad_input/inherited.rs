//! What commands see of the environment of the program that starts them.

use cluster_control_tests::{Context, Launch, SOON, Sandbox, Signal, eventually};

/// The script writes its environment into the file that its argument names.
const LOOK: &str = "env > $1.tmp; mv $1.tmp $1";
const SECRETS: [(&str, &str); 4] = [
    ("CONSUL_HTTP_AUTH", "me:cAnArY-auth-1"),
    ("ETCDCTL_PASSWORD", "cAnArY-password-2"),
    ("ETCDCTL_ENDPOINTS", "http://me:cAnArY-endpoint-3@127.0.0.1:1"),
    ("URL_PASSWORD", "cAnArY-url-4"),
];
const NAMES: &str = "CONSUL_HTTP_TOKEN,CONSUL_HTTP_AUTH,ETCDCTL_PASSWORD,ETCDCTL_ENDPOINTS,URL_PASSWORD";

fn launch(context: &Context, arguments: &[&str]) -> Launch {
    context.write("look.sh", LOOK);
    let launch = Sandbox::program(context, [&["--registry", context.url().as_str()], arguments].concat());
    SECRETS.iter().fold(launch, |launch, (name, value)| launch.env(name, value))
}

/// A configuration whose URL refers to a variable; the command line names another registry.
fn configure(context: &Context, more: &str) {
    let exec = |name: &str| format!("[\"sh\", \"look.sh\", \"{name}\"]");
    context.write(
        "cluster-control.toml",
        format!(
            "{more}\n[registry]\nurl = \"etcd://me:${{URL_PASSWORD}}@127.0.0.1:1\"\n[self]\nkey = \"{}\"\n\
             [ready]\nexec = {}\n[health]\nexec = {}\n[[watch]]\nname = \"web\"\npath = \"{}\"\n\
             [[notify]]\nname = \"look\"\nkind = \"exec\"\nargv = {}\n\
             [[file]]\nkind = \"json\"\nwatch = [\"web\"]\ndest = \"web.json\"\nnotify = [\"look\"]\n\
             on_empty = \"render\"\ncheck = [\"sh\", \"look.sh\", \"seen.check\", \"{{src}}\"]\n",
            context.key(),
            exec("seen.ready"),
            exec("seen.health"),
            context.at("web"),
            exec("seen.notify"),
        ),
    );
}

fn environment(context: &Context, name: &str) -> String {
    let file = format!("seen.{name}");
    eventually(SOON, &format!("{name} has looked"), || context.read(&file).is_some());
    let seen = context.read(&file).expect("it has looked");
    assert!(seen.contains("TEST_OTHER_SECRET="), "{name}: what is nobody's business is inherited");
    seen
}

fn value<'a>(environment: &'a str, name: &str) -> Option<&'a str> {
    environment.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

/// Every kind of command.
pub(crate) fn by_no_command(context: &Context) {
    configure(context, "");
    let mut run = launch(context, &["-v", "run", "--", "sh", "-c", "sh look.sh seen.child; sleep 1000"]).start();
    let at = context.at("it");
    let key = context.at("parts");
    let dir = context.at("nodes");
    let mut others = Vec::new();
    for arguments in [
        &["watch", "web", "--", "sh", "look.sh", "seen.watch"][..],
        &["partition", &key, "--id", "a", "--", "sh", "look.sh", "seen.partition"],
        &[
            "schedule",
            "--dir",
            &dir,
            "--address",
            "10.0.0.1",
            "--session",
            "a",
            "--ttl",
            "5s",
            "--leader-ttl",
            "3s",
            "--join",
            "sh look.sh seen.schedule",
        ],
    ] {
        others.push(launch(context, arguments).start());
    }
    for arguments in [
        &["lock", &at, "--", "sh", "look.sh", "seen.lock"][..],
        &["elect", &at, "--", "sh", "look.sh", "seen.elect"],
        &["check", "exec", "--", "sh", "look.sh", "seen.probe"],
    ] {
        let done = launch(context, arguments).finish(SOON);
        assert_eq!(done.code, 0, "{done:?}");
    }
    let all =
        ["child", "ready", "health", "check", "notify", "watch", "partition", "schedule", "lock", "elect", "probe"];
    for name in all {
        let seen = environment(context, name);
        let leaked: Vec<_> = seen.lines().filter(|line| line.contains("cAnArY-")).collect();
        assert_eq!(leaked.len(), 1, "{name} sees secrets");
        assert_eq!(value(&seen, "CLUSTER_CONTROL_WITHHELD"), Some(NAMES), "{name}");
    }
    run.signal(Signal::TERM);
    run.wait(SOON);
    assert!(run.stderr().contains("commands do not inherit CONSUL_HTTP_TOKEN"), "{}", run.stderr());
}

/// By the file, by the command line, and always to the commands of the original scripts.
pub(crate) fn when_it_is_said(context: &Context) {
    configure(context, "pass_env = [\"CONSUL_HTTP_TOKEN\", \"URL_PASSWORD\"]");
    let at = context.at("it");
    let lock = ["--pass-env", "ETCDCTL_PASSWORD", "lock", &at, "--", "sh", "look.sh", "seen.lock"];
    let done = launch(context, &lock).finish(SOON);
    assert_eq!(done.code, 0, "{done:?}");
    let seen = environment(context, "lock");
    assert_eq!(value(&seen, "ETCDCTL_PASSWORD"), Some("cAnArY-password-2"));
    assert_eq!(value(&seen, "URL_PASSWORD"), Some("cAnArY-url-4"));
    assert!(value(&seen, "CONSUL_HTTP_TOKEN").is_some());
    assert_eq!(value(&seen, "CLUSTER_CONTROL_WITHHELD"), Some("CONSUL_HTTP_AUTH,ETCDCTL_ENDPOINTS"));
    context.write("legacy.conf", context.original().cluster("db", &context.at("db"), "db.json").json());
    let watch = ["--config", "legacy.conf", "clusterwatch", "db", "0", "sh", "look.sh", "seen.legacy"];
    let _watching = launch(context, &watch).start();
    let seen = environment(context, "legacy");
    for (name, secret) in SECRETS {
        assert_eq!(value(&seen, name), Some(secret), "the original's commands pass everything on");
    }
    for (arguments, code) in [(&["--pass-env", "HOME", "members", "web"][..], 2), (&["members", "web"], 78)] {
        configure(context, if code == 78 { "pass_env = [\"ETCDCTL_PASSWORT\"]" } else { "" });
        let done = launch(context, arguments).finish(SOON);
        assert_eq!(done.code, code, "{done:?}");
        assert!(done.stderr.contains("never taken away") && done.stderr.contains("ETCDCTL_PASSWORD"), "{done:?}");
    }
}

/// It does not go to another registry, or to the same one as nobody: not even to the embedded store.
pub(crate) fn a_nested_program_misses_them(context: &Context) {
    let program = cluster_control_tests::program().display().to_string();
    let at = context.at("it");
    let nested = |variable: &str, secret: &str, pass: &[&str], nested: &str| {
        let script = format!("{program} {nested}");
        let arguments = [pass, &["lock", &at, "--", "sh", "-c", &script]].concat();
        // A user and a password for a proxy are refused wherever they would be used.
        let unset = ["ETCDCTL_ENDPOINTS", "CONSUL_HTTP_AUTH"];
        let launch = unset.into_iter().fold(launch(context, &arguments), |launch, name| launch.env(name, ""));
        launch.env(variable, secret).finish(SOON)
    };
    let url = "etcd://me:cAnArY-url-5@127.0.0.1:1";
    for (variable, secret, command) in [
        ("ETCDCTL_ENDPOINTS_UNUSED", "x", "--timeout 1s --registry etcd://127.0.0.1:1 members web"),
        ("CONSUL_HTTP_ADDR", "http://me:cAnArY-consul-6@127.0.0.1:1", "members /web"),
        ("CONSUL_HTTP_ADDR", "127.0.0.1:1", "--timeout 1s members /web"),
    ] {
        let done = nested(variable, secret, &[], command);
        assert_eq!(done.code, 78, "{variable}: {done:?}");
        assert!(done.stderr.contains("pass_env") && !done.stderr.contains("cAnArY"), "{variable}: {done:?}");
    }
    let outer = format!("unset ETCDCTL_PASSWORD CONSUL_HTTP_TOKEN CONSUL_HTTP_AUTH; {program} check exec -- {program}");
    for (command, code) in [("members /web", 1), ("--registry sqlite: members /web", 0)] {
        let done = context.script(&format!("{outer} {command}")).env("CLUSTER_CONTROL_REGISTRY", url).finish(SOON);
        assert_eq!(done.code, code, "{command}: {done:?}");
        assert_eq!(done.stderr.contains("--pass-env CLUSTER_CONTROL_REGISTRY"), code == 1, "{command}: {done:?}");
    }
    // The address and the token given back: it asks the server, which is not there.
    let given = ["--pass-env", "CONSUL_HTTP_TOKEN"];
    let done = nested("CONSUL_HTTP_ADDR", "127.0.0.1:1", &given, "--timeout 1s members /web");
    assert_eq!(done.code, 69, "{done:?}");
}
