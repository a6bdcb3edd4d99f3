//! Who has which part.

use std::time::Duration;

use cluster_control_tests::{Context, SOON, Sandbox, Signal, eventually, never};

use crate::setting::{becomes, directory, node, part, partition};

/// libcluster's own example.
pub(crate) fn three_nodes(context: &Context) {
    let mut node1 = node(context, "node1", ["--workers", "2"]).start();
    becomes(&node1, (Some(0), 2, 2));
    let mut node2 = node(context, "node2", []).start();
    becomes(&node2, (Some(2), 1, 3));
    // What is true only for a moment may be skipped.
    becomes(&node1, (Some(0), 2, 3));
    let mut node3 = node(context, "node3", ["--workers=4"]).start();
    becomes(&node1, (Some(0), 2, 7));
    becomes(&node2, (Some(2), 1, 7));
    becomes(&node3, (Some(3), 4, 7));
    assert_eq!(node1.stdout().lines().count(), 3, "one line for each change: {}", node1.stdout());
    let stored = |id: &str| context.witness.get(&format!("{}/{id}", directory(context)));
    assert_eq!(["node1", "node2", "node3"].map(|id| stored(id).unwrap_or_default()), ["2", "1", "4"]);

    node2.signal(Signal::TERM);
    assert_eq!(node2.wait(SOON), 0, "{}", node2.stderr());
    assert_eq!(stored("node2"), None, "it has left");
    becomes(&node1, (Some(0), 2, 6));
    becomes(&node3, (Some(2), 4, 6));
    node1.signal(Signal::INT);
    node3.signal(Signal::TERM);
    assert_eq!((node1.wait(SOON), node3.wait(SOON)), (0, 0));
    assert_eq!(context.witness.names(&directory(context)), Vec::<String>::new());
    for node in [node1, node2, node3] {
        assert_eq!(node.stderr(), "", "there was nothing to say");
    }
}

/// A member of libcluster in the same directory, by the requests that libcluster makes.
pub(crate) fn an_old_member_agrees(context: &Context) {
    let v2 = |method, path: &str, form| context.witness.v2(method, &format!("{}{path}", directory(context)), form);
    let (status, _) = v2("PUT", "", "dir=true");
    assert!(matches!(status, 200 | 201), "{status}");
    assert_eq!(v2("PUT", "/m", "value=3&ttl=120").0, 201);
    assert_eq!(v2("PUT", "/_hidden", "value=50&ttl=120").0, 201);
    assert_eq!(v2("PUT", "/below/a", "value=50&ttl=120").0, 201);
    let late = node(context, "z", ["--workers", "2"]).start();
    becomes(&late, (Some(3), 2, 5));
    let early = node(context, "Z-1", []).start();
    becomes(&late, (Some(4), 2, 6));
    becomes(&early, (Some(0), 1, 6));

    // It renews by writing the same again, which changes nothing.
    for _ in 0..3 {
        assert_eq!(v2("PUT", "/m", "value=3&ttl=120").0, 200);
    }
    // It reads what the new ones wrote: plain numbers, in a time to live of two minutes.
    let (_, listed) = v2("GET", "/z", "");
    assert_eq!(listed["node"]["value"], "2");
    let ttl = listed["node"]["ttl"].as_u64().expect("a time to live");
    assert!((61..=120).contains(&ttl), "{ttl}");

    assert_eq!(v2("PUT", "/m", "value=7&ttl=120").0, 200);
    becomes(&late, (Some(8), 2, 10));
    assert_eq!(v2("DELETE", "/m", "").0, 200);
    becomes(&late, (Some(1), 2, 3));
    let lines = late.stdout().lines().count();
    assert_eq!(lines, 4, "one line for each change: {}", late.stdout());
}

/// What it says goes into a pipe that is full: that keeps it neither from renewing nor from leaving.
pub(crate) fn whom_nobody_reads_goes_on_and_ends(context: &Context) {
    let (app, directory) = (context.at("app"), directory(context));
    let partition = format!("partition '{app}' --id node1 --ttl 3s");
    goes_on_and_ends(context, &partition, "");
    goes_on_and_ends(context, &format!("{partition} -- sleep 1000"), "2>&1");
    goes_on_and_ends(context, &format!("register --key '{directory}/node1' --ttl 3s --output text"), "");
    goes_on_and_ends(context, &format!("-v register --key '{directory}/node1' --ttl 3s"), "2>&1");
}

fn goes_on_and_ends(context: &Context, arguments: &str, also: &str) {
    let url = context.url();
    let script = format!(
        r#"{{ head -c 65536 /dev/zero; echo $BASHPID >pid
             export CLUSTER_CONTROL_REGISTRY='{url}'; exec "$CLUSTERCONTROL" {arguments}; }} {also} | exec sleep 1000"#
    );
    let _pipe = context.script(&script).start();
    let members = || context.witness.names(&directory(context));
    eventually(SOON, "it is a member", || members() == ["node1"]);
    never(Duration::from_secs(6), "it is lost", || members() != ["node1"]);
    let id: i32 = context.read("pid").and_then(|id| id.trim().parse().ok()).expect("an id");
    let id = rustix::process::Pid::from_raw(id).expect("an id");
    rustix::process::kill_process(id, Signal::TERM).expect("it runs");
    eventually(SOON, "it has left", || members().is_empty());
    eventually(SOON, "it has ended", || rustix::process::test_kill_process(id).is_err());
}

pub(crate) fn an_observer_sees_all(context: &Context) {
    let observer = partition(context, ["--passive"]).start();
    becomes(&observer, (None, 0, 0));
    let mut unnamed = partition(context, ["--workers", "2"]).start();
    becomes(&observer, (None, 0, 2));
    let names = context.witness.names(&directory(context));
    let is_id = |id: &String| id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    assert!(names.len() == 1 && names.iter().all(is_id), "{names:?}");
    // Another environment and another partition are other clusters.
    let others = [partition(context, ["--env", "dev"]).start(), partition(context, ["--partition", "p1"]).start()];
    for other in &others {
        becomes(other, (Some(0), 1, 1));
    }
    assert_eq!(context.witness.names(&context.at("app/dev")).len(), 1);
    assert_eq!(context.witness.names(&context.at("app/p1/production")).len(), 1);
    assert_eq!(part(&observer), Some((None, 0, 2)));
    unnamed.signal(Signal::TERM);
    assert_eq!(unnamed.wait(SOON), 0);
    becomes(&observer, (None, 0, 0));
}

pub(crate) fn a_fixed_part_needs_no_registry(sandbox: &Sandbox) {
    let fixed = ["partition", "app", "--registry", "nonsense://", "--workers", "4", "--index", "3", "--total", "7"];
    let mut fixed_part = sandbox.program(fixed).start();
    becomes(&fixed_part, (Some(3), 4, 7));
    never(Duration::from_millis(500), "it ends", || !fixed_part.is_running());
    fixed_part.signal(Signal::TERM);
    assert_eq!(fixed_part.wait(SOON), 0);
    assert_eq!(fixed_part.stdout().lines().count(), 1);

    let command = ["--", "sh", "-c", "echo {base} $CLUSTER_CONTROL_TOTAL > told; exit 3"];
    let done = sandbox.program(fixed.iter().chain(&command)).finish(SOON);
    assert_eq!(done.code, 3, "{done:?}");
    eventually(SOON, "the command was told", || sandbox.read("told").as_deref() == Some("3 7\n"));
}

/// `| head -1`: nobody hears the second line, so the instance leaves; it is no error.
pub(crate) fn who_is_not_heard_leaves(context: &Context) {
    let script = format!(
        "\"$CLUSTERCONTROL\" partition {} --id m --registry '{}' | head -n 1; exit ${{PIPESTATUS[0]}}",
        context.at("app"),
        context.url()
    );
    let mut piped = context.script(&script).start();
    becomes(&piped, (Some(0), 1, 1));
    let other = node(context, "a", ["--workers", "2"]).start();
    assert_eq!((piped.wait(SOON), piped.stderr().as_str()), (0, ""));
    assert_eq!(piped.stdout().lines().count(), 1);
    assert_eq!(context.witness.names(&directory(context)), ["a"]);
    becomes(&other, (Some(0), 2, 2));
}
