//! The entry stands while the child is ready and healthy, and at no other time.

use std::time::Duration;

use cluster_control_tests::{Context, SOON, eventually, never};

use crate::setting::{child_id, configure, own, registered, run};

pub(crate) fn stands_only_when_the_child_is_ready(context: &Context) {
    let ready = "[ready]\nexec = [\"test\", \"-e\", \"ready\"]\ninterval = \"100ms\"\nstart_period = \"1s\"\n";
    configure(context, &[own(context), ready.into()]);
    let mut run = run(context);
    never(Duration::from_secs(2), "it is registered too early", || context.witness.get(&context.key()).is_some());
    eventually(SOON, "it is said why", || run.stderr().contains("not ready after 1s"));
    context.write("ready", "");
    registered(context);
    // It was ready once. Whether it still is, is another question: that of its health.
    std::fs::remove_file(context.path("ready")).expect("a file");
    never(Duration::from_secs(2), "it vanishes", || context.witness.get(&context.key()).is_none());
    assert!(run.is_running());
}

pub(crate) fn follows_the_childs_health(context: &Context) {
    let health = "[health]\nexec = [\"test\", \"-e\", \"healthy\"]\ninterval = \"100ms\"\nfall = 3\nrise = 2\n";
    configure(context, &[own(context), health.into()]);
    context.write("healthy", "");
    let mut run = run(context);
    registered(context);
    let child = child_id(context);
    for _ in 0..2 {
        std::fs::remove_file(context.path("healthy")).expect("a file");
        eventually(SOON, "it vanishes", || context.witness.get(&context.key()).is_none());
        context.write("healthy", "");
        registered(context);
    }
    assert!(run.is_running());
    assert_eq!((child_id(context), context.lines("child.signals")), (child, 0));
    let said = run.stderr();
    assert!(said.contains("is not healthy") && said.contains("healthy again"), "{said}");
}

pub(crate) fn an_unhealthy_child_can_be_stopped(context: &Context) {
    let health = "[health]\nexec = [\"test\", \"-e\", \"healthy\"]\ninterval = \"100ms\"\non_fail = \"stop\"\n";
    configure(context, &[own(context), health.into()]);
    context.write("healthy", "");
    let mut run = run(context);
    registered(context);
    std::fs::remove_file(context.path("healthy")).expect("a file");
    assert_eq!(run.wait(SOON), 9);
    assert_eq!(context.witness.get(&context.key()), None);
}
