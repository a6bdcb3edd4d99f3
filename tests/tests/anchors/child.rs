//! The child's status is the program's, and nothing of it is left behind.

use cluster_control_tests::{Context, SOON, Signal, eventually};

use crate::setting::{configure, nothing_is_left, own, run, run_script};

/// `ContainerPilot` says 0, consul-template 255.
pub(crate) fn its_status_is_passed_on(context: &Context) {
    configure(context, &[own(context)]);
    for (script, code) in [
        ("exit 0", 0),
        ("exit 7", 7),
        ("exit 255", 255),
        ("kill -TERM $$", 143),
        ("kill -KILL $$", 137),
        ("kill -INT $$", 130),
    ] {
        let done = context.program(["run", "--", "bash", "-c", script]).finish(SOON);
        assert_eq!((done.code, done.stdout.as_str()), (code, ""), "{script}: {done:?}");
        assert_eq!(context.witness.get(&context.key()), None, "{script}: it has deregistered");
    }
}

/// What the image's author calls success.
pub(crate) fn success_codes_become_0(context: &Context) {
    configure(context, &["[child]\nsuccess_codes = [9]\n".into(), own(context)]);
    let mut run = run(context);
    run.signal(Signal::TERM);
    assert_eq!(run.wait(SOON), 0);
}

/// dumb-init says 2, tini 127.
pub(crate) fn what_cannot_be_started_is_126_or_127(context: &Context) {
    configure(context, &[own(context)]);
    let file = context.write("not-executable", "#!/bin/sh\n");
    let directory = context.dir();
    let interpreter = context.write("no-interpreter", "#!/no/such/interpreter\n");
    std::fs::set_permissions(&interpreter, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
    for (command, code) in [
        ("no-such-command", 127),
        ("/no/such/command", 127),
        ("./no-such-command", 127),
        (file.to_str().expect("UTF-8"), 126),
        (directory.to_str().expect("UTF-8"), 126),
        (interpreter.to_str().expect("UTF-8"), 127),
        ("", 2),
    ] {
        let done = context.program(["run", "--", command]).finish(SOON);
        assert_eq!((done.code, done.stdout.as_str()), (code, ""), "{command}: {done:?}");
        assert!(done.stderr.contains(command) && done.stderr.starts_with("cluster-control: "), "{command}: {done:?}");
        assert!(!done.stderr.contains(": registered"), "{command}: {done:?}");
        assert_eq!(context.witness.names(&context.at("web")), Vec::<String>::new(), "{command}");
    }
}

/// Its stdin, stdout and stderr are the program's own: nothing is added to its output.
pub(crate) fn its_output_is_its_own(context: &Context) {
    configure(context, &[own(context)]);
    let done = context.program(["run", "-vv", "--", "bash", "-c", "echo out; echo err >&2"]).finish(SOON);
    assert_eq!((done.code, done.stdout.as_str()), (0, "out\n"), "{done:?}");
    assert!(done.stderr.contains("err\n"), "{done:?}");
}

/// A grandchild in another session, deaf to TERM and HUP, would outlive its parent.
pub(crate) fn orphans_are_ended(context: &Context) {
    configure(context, &[own(context)]);
    let script = "\
        (trap '' TERM HUP; exec setsid sleep 1000) &
        (setsid setsid sleep 1000 &)
        sleep 1000 &
        echo $$ >> child.pids
        while [ ! -e end ]; do sleep 0.02; done
        exit 5";
    let mut run = run_script(context, script);
    eventually(SOON, "all of them run", || context.processes().len() >= 5);
    context.write("end", "");
    // What they sleep for is far longer.
    assert_eq!(run.wait(SOON), 5);
    nothing_is_left(context);
}
