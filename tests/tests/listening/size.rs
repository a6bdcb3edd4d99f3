//! The largest size that a file may have (`ulimit -f`): what is larger is an error, and no signal's work.

use cluster_control_tests::{Context, SOON, Sandbox, Signal, eventually};

use crate::setting::{CHILD, IN_TIME, child_id, configure, own, registered, template, watch};

/// In KiB. The embedded store stays below it.
const LIMIT: usize = 512;

/// A template that is too large as soon as there are two members.
fn too_large() -> String {
    format!(
        "{{{{ members|length }}}}\n{{% if members|length > 1 %}}{}{{% endif %}}",
        "0123456789abcde\n".repeat(64 * (LIMIT + 64))
    )
}

fn run(context: &Context, child: &str) -> cluster_control_tests::Process {
    context
        .script(&format!("ulimit -f {LIMIT}; exec \"$CLUSTERCONTROL\" run -- bash -c \"$CHILD\""))
        .env("CHILD", child)
        .start()
}

fn prepare(context: &Context) {
    context.write("page.j2", too_large());
    configure(context, &context.url(), &[own(&context.key()), watch("db", &context.at("db")), template("db")]);
    context.witness.put(&context.at("db/10.0.0.1:3306"), "0");
}

/// The old file stays, it is said why, and all else goes on. The child has the signal's default back.
pub(crate) fn a_file_that_becomes_too_large(context: &Context) {
    prepare(context);
    let child = format!("head -c {} /dev/zero > big; echo $? > big.code\n{CHILD}", 2 * 1024 * LIMIT);
    let mut run = run(context, &child);
    child_id(context);
    registered(context);
    assert_eq!(context.read("big.code").as_deref(), Some("153\n"), "XFSZ does not end what it ends elsewhere");
    let before = context.read("page").expect("it was written");
    context.witness.put(&context.at("db/10.0.0.2:3306"), "0");
    eventually(SOON, "it is reported", || run.stderr().contains("File too large"));
    let said = run.stderr();
    assert!(said.contains("/page: ") && said.contains("the old file stays"), "{said}");
    assert_eq!(context.read("page"), Some(before));
    assert!(context.witness.remove(&context.at("db/10.0.0.2:3306")));
    run.signal(Signal::TERM);
    assert_eq!(run.wait(IN_TIME), 9, "{}", run.stderr());
}

/// Nothing starts without its files.
pub(crate) fn a_first_file_that_is_too_large(context: &Context) {
    prepare(context);
    context.witness.put(&context.at("db/10.0.0.2:3306"), "0");
    let mut run = run(context, CHILD);
    assert_eq!(run.wait(SOON), 1, "{}", run.stderr());
    assert!(run.stderr().contains("File too large"), "{}", run.stderr());
    assert_eq!(context.lines("child.pids"), 0);
}

/// What goes to a file that may not be so large is an error of the program's own.
pub(crate) fn a_result_that_is_too_large(sandbox: &Sandbox) {
    let done = sandbox.script("ulimit -f 1; exec \"$CLUSTERCONTROL\" man").finish(SOON);
    assert_eq!((done.code, done.stdout.len()), (1, 1024), "{done:?}");
    assert!(done.stderr.contains("cannot write to stdout: File too large"), "{}", done.stderr);
}
