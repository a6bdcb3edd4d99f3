//! A password is told to the server, and to nobody else.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use cluster_control_tests::{Backend, Context, Finished, SOON, Sandbox, eventually};
use test_servers::Api;

use crate::case::configure;

/// Nothing else is called so.
const SECRET: &str = "cAnArY-7731";

/// The search over everything that the tests have written finds only what was there to be written.
pub(crate) fn everything_holds_some(context: &Context) {
    context.configure();
    let script = "env > held; exec \"$CLUSTERCONTROL\" run -- bash -c 'env > held.child; sleep 1000; true'";
    let _run = context.script(script).start();
    let wanted = if context.backend == Backend::EtcdV2 { 3 } else { 2 };
    let holds = |file, count| context.read(file).is_some_and(|held: String| held.matches("=cAnArY-").count() == count);
    eventually(SOON, "the program and its child hold canaries", || holds("held", wanted) && holds("held.child", 1));
}

/// Mistakes around a password: the message says what is wrong, and not the password.
pub(crate) fn in_configurations(sandbox: &Sandbox) {
    let url = format!("etcd://root:{SECRET}@h");
    for text in [
        format!("registry = \"{url}\""),
        format!("[registry]\nurl = [\"{url}\"]"),
        format!("[registry]\nurl = \"{url}"),
        format!("[registry]\nurl = {url}"),
        format!("[registry]\nurl = \"{url}\"\nurl = \"{url}\""),
        format!("[registry]\nurl = \"ectd://root:{SECRET}@h\""),
        format!("[registry]\nurl = \"root:{SECRET}@h\""),
        format!("[registry]\nurl = \"etcd:root:{SECRET}@h\""),
        format!("[registry]\nurl = \"etcd://root:{SECRET}/x@h\""),
        format!("[registry]\nurl = \"etcd-v2://root:{SECRET}?x@h\""),
        format!("[registry]\nurl = \"etcd://root:{SECRET}#x@h\""),
        format!("[registry]\nurl = \"{url}:99999\""),
        format!("[registry]\nurl = \"{url}?pasword={SECRET}\""),
        format!("[registry]\nurl = \"{url}?password={SECRET}\""),
        format!("[registry]\nurl = \"sqlite://root:{SECRET}@h\""),
        format!("{{\"etcd\": \"{url}\"}}"),
        format!("{{\"etcd\": {{\"server\": [\"{url}\"]}}}}"),
        format!("{{\"etcd\": {{\"server\": \"root:{SECRET}@h\"}}}}"),
        format!("{{\"etcd\": {{\"server\": \"http://root:{SECRET}@h:99999\"}}}}"),
        format!("{{\"etcd\": {{\"host\": \"root:{SECRET}@h\", \"port\": 99999}}}}"),
        format!("[[notify]]\nname = \"x\"\nkind = \"http\"\nurl = \"root:{SECRET}@h\""),
        format!("[[notify]]\nname = \"x\"\nkind = \"exec\"\nargv = \"curl {SECRET}\""),
        format!("[health]\nhttp = [\"http://root:{SECRET}@h\"]"),
        format!("[self]\nkey = \"/a/b\"\nvalue = [\"{SECRET}\"]"),
    ] {
        configure(sandbox, &text);
        for command in [&["config", "check"][..], &["-vv", "run", "--", "true"]] {
            let done = sandbox.program(command.iter()).finish(SOON);
            assert_eq!(done.code, 78, "{text}: {done:?}");
            assert_secret(&done, &text);
        }
        // This one does not look at everything.
        assert_secret(&sandbox.program(["-vv", "members", "db"]).finish(SOON), &text);
    }
}

/// By each way that a password can come, with a server that wants it.
pub(crate) fn at_work(context: &Context) {
    let ask = |api, arguments: &[&str]| context.server().etcdctl(api, arguments);
    let user = format!("root:{SECRET}");
    ask(Api::V3, &["user", "add", &user]);
    ask(Api::V3, &["user", "grant-role", "root", "root"]);
    ask(Api::V3, &["auth", "enable"]);
    ask(Api::V2, &["user", "add", &user]);
    ask(Api::V2, &["auth", "enable"]);
    ask(Api::V2, &["--username", &user, "role", "remove", "guest"]);

    let endpoint = format!("127.0.0.1:{}", context.server().port());
    let scheme = if context.backend == Backend::EtcdV2 { "etcd-v2" } else { "etcd" };
    let file = context.write("password", format!("{SECRET}\n"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("a mode");
    let in_url = format!("{scheme}://{user}@{endpoint}");
    let in_file = format!("{scheme}://{endpoint}?user=root&password_file={}", file.display());

    works(context, "in the file's URL", &in_url, &[]);
    works(context, "in a password file", &in_file, &[]);
    let included = format!("{scheme}://root:${{file:{}}}@{endpoint}", file.display());
    works(context, "in a file that the configuration includes", &included, &[]);
    works(context, "in the variable", "env:", &[("CLUSTER_CONTROL_REGISTRY", &in_url)]);
    let endpoint_only = format!("{scheme}://{endpoint}");
    works(
        context,
        "in the tool's variables",
        &endpoint_only,
        &[("ETCDCTL_USER", "root"), ("ETCDCTL_PASSWORD", SECRET)],
    );
    works(context, "in one of the tool's variables", &endpoint_only, &[("ETCDCTL_USER", &user)]);

    // A server that refuses, and one that is away, are complained about at length.
    let wrong = format!("{scheme}://root:{SECRET}-wrong@{endpoint}");
    for (url, code) in [(wrong.as_str(), 77), (&format!("{scheme}://{user}@127.0.0.1:1"), 69)] {
        for format in ["text", "json"] {
            let arguments = ["-vv", "--log-format", format, "--timeout", "1s", "members", "/db"];
            let done = context.program(arguments).env("CLUSTER_CONTROL_REGISTRY", url).finish(SOON);
            assert_eq!(done.code, code, "{done:?}");
            assert_secret(&done, url);
        }
    }
}

/// Registers, writes a file and tells a command, which looks at itself and at everything that runs here.
fn works(context: &Context, way: &str, url: &str, environment: &[(&str, &str)]) {
    // One search for all: there may be hundreds of processes, and none to spare for each.
    let script = "env > environment.$$; \
                  for i in $(grep -lzxF \"TEST_SANDBOX=$TEST_SANDBOX\" /proc/[0-9]*/environ); do \
                  tr '\\0' ' ' < ${i%environ}cmdline; echo; \
                  done > commands.$$ 2> errors; mv environment.$$ environment; mv commands.$$ commands";
    let _ = fs::remove_file(context.path("commands"));
    context.write(
        "cluster-control.toml",
        format!(
            "[registry]\nurl = \"{url}\"\n[self]\nkey = \"{}\"\n[[watch]]\nname = \"web\"\npath = \"{}\"\n\
             [[notify]]\nname = \"look\"\nkind = \"exec\"\nargv = [\"bash\", \"-c\", '''{script}''']\n\
             [[file]]\nkind = \"json\"\nwatch = [\"web\"]\ndest = \"web.json\"\nnotify = [\"look\"]\non_empty = \"render\"\n",
            context.key(),
            context.at("web")
        ),
    );
    let start = |arguments: &[&str]| {
        let mut launch = cluster_control_tests::Sandbox::program(context, arguments.iter());
        for (name, value) in environment {
            launch = launch.env(name, value);
        }
        launch
    };
    let mut run = start(&["-vv", "run", "--", "sleep", "1000"]).start();
    eventually(SOON, &format!("{way}: it is registered and written"), || {
        context.read("web.json").as_deref() == Some("[\"10.0.0.1:80\"]")
    });
    eventually(SOON, "it is told", || context.read("commands").is_some());
    let done = start(&["-vv", "members", &context.at("web")]).finish(SOON);
    assert_eq!((done.code, done.stdout.as_str()), (0, "10.0.0.1:80\n"), "{way}: {done:?}");
    assert_secret(&done, way);
    let done = start(&["-vv", "config", "check"]).finish(SOON);
    assert_eq!(done.code, 0, "{way}: {done:?}");
    assert_secret(&done, way);
    run.signal(cluster_control_tests::Signal::TERM);
    assert_eq!(run.wait(SOON), 143);
    assert_secret(&Finished { code: 0, stdout: run.stdout(), stderr: run.stderr() }, way);
    let commands = context.read("commands").expect("the command has looked");
    assert!(
        commands.contains("bash -c") && commands.contains("-vv run -- sleep"),
        "it has looked elsewhere: {commands}"
    );
    assert!(!commands.contains(SECRET), "{way}: the command sees it: {commands}");
    // Not shown as a whole: the environment of whoever runs the tests is his own.
    let environment = context.read("environment").expect("the command has looked");
    assert!(environment.contains("CLUSTER_CONTROL_EVENT"), "it has looked elsewhere");
    let told: Vec<_> = environment.lines().filter(|line| line.contains(SECRET)).collect();
    assert!(told.is_empty(), "{way}: the command is told: {told:?}");
}

fn assert_secret(done: &Finished, way: &str) {
    assert!(!done.stdout.contains(SECRET), "{way}: stdout: {}", done.stdout);
    assert!(!done.stderr.contains(SECRET), "{way}: stderr: {}", done.stderr);
}
