//! Three nodes whose commands write down that they ran, and somebody who watches what the nodes are told.

use std::collections::BTreeSet;

use cluster_control_tests::{Context, Launch, Process, SOON, eventually};
use serde_json::Value;

pub(crate) const NAMES: [&str; 3] = ["one", "two", "three"];

const STEP: &str = r#"
echo "something that is no result"
echo "$CLUSTER_CONTROL_SESSION $1 $CLUSTER_CONTROL_IS_MASTER" >> steps
case $1 in failover) sleep "${FAILOVER_TAKES:-0}"; echo "$CLUSTER_CONTROL_SESSION done" >> steps;; esac
"#;

/// How long a node and a leader may be silent.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    node: &'static str,
    leader: &'static str,
}

/// For trials that wait until they are over.
pub(crate) const SHORT: Times = Times { node: "5s", leader: "3s" };
/// For trials in which they must not be: a machine that stands still for some seconds ends none of them.
pub(crate) const LONG: Times = Times { node: "30s", leader: "30s" };

/// One node, not started yet.
pub(crate) fn launch(context: &Context, name: &str) -> Launch {
    launch_at(context, name, &address(name), SHORT)
}

fn address(name: &str) -> String {
    let number = NAMES.iter().position(|known| *known == name).expect("a name");
    format!("10.0.0.{number}")
}

pub(crate) fn launch_at(context: &Context, name: &str, address: &str, times: Times) -> Launch {
    context.write("step.sh", STEP);
    let dir = context.at("cluster");
    context.program([
        "schedule",
        "--registry",
        &context.url(),
        "--dir",
        &dir,
        "--address",
        address,
        "--session",
        name,
        "--ttl",
        times.node,
        "--leader-ttl",
        times.leader,
        "--join",
        "bash step.sh join",
        "--recover",
        "bash step.sh recover",
        "--rebalance",
        "bash step.sh rebalance",
        "--failover",
        "bash  step.sh failover",
    ])
}

/// All three, clustered.
pub(crate) fn three(context: &Context, times: Times) -> Vec<Process> {
    let start = |name: &&str| launch_at(context, name, &address(name), times).start();
    let nodes: Vec<_> = NAMES.iter().map(start).collect();
    are_clustered(context, &NAMES);
    assert_eq!(context.lines("steps"), 6, "{:?}", context.read("steps"));
    nodes
}

/// Waits until these nodes are clustered, and no others are known.
pub(crate) fn are_clustered(context: &Context, names: &[&str]) {
    let wanted: BTreeSet<_> = names.iter().map(ToString::to_string).collect();
    eventually(SOON, "these nodes are clustered", || {
        let states = context.witness.names(&context.at("cluster/states"));
        let clustered = states.iter().filter(|name| is_clustered(context, name));
        states.iter().cloned().collect::<BTreeSet<_>>() == wanted && clustered.count() == names.len()
    });
}

fn is_clustered(context: &Context, name: &str) -> bool {
    let state = context.witness.get(&context.at(&format!("cluster/states/{name}")));
    let state: Value = state.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    state["state"] == "clustered" && state["desiredState"] == "clustered"
}

/// Which node leads just now; nobody does between two of them.
pub(crate) fn leader(context: &Context) -> Option<usize> {
    let session = context.witness.get(&context.at("cluster/master"))?;
    NAMES.iter().position(|name| *name == session)
}

/// Waits until somebody leads.
pub(crate) fn somebody_leads(context: &Context) -> usize {
    let mut found = None;
    eventually(SOON, "somebody leads", || {
        found = leader(context);
        found.is_some()
    });
    found.expect("it was found")
}

/// Waits until another node leads than this one.
pub(crate) fn another_leads(context: &Context, former: usize) {
    eventually(SOON, "another one leads", || leader(context).is_some_and(|now| now != former));
}

pub(crate) fn is_announced(context: &Context, name: &str) -> bool {
    context.witness.get(&context.at(&format!("cluster/announcements/{name}"))).is_some()
}

/// How often a node ran any of its commands.
pub(crate) fn steps_of(context: &Context, name: &str) -> Vec<String> {
    let steps = context.read("steps").unwrap_or_default();
    let own = steps.lines().filter_map(|line| line.split_once(' ')).filter(|(who, _)| *who == name);
    own.map(|(_, step)| step.split(' ').next().unwrap_or_default().to_owned()).collect()
}

/// Nobody but the master-to-be began anew: each ran two commands, once.
pub(crate) fn nobody_began_anew(context: &Context, names: &[&str]) {
    for name in names {
        assert_eq!(steps_of(context, name), ["join", "rebalance"], "{name}");
    }
}

/// Prints what the nodes are told.
pub(crate) fn observe(context: &Context) -> Process {
    let dir = context.at("cluster");
    context.program(["schedule", "--registry", &context.url(), "--dir", &dir, "--observe"]).start()
}

/// Leaders write one after the other, and who was clustered stays it.
pub(crate) fn check(observer: &Process) {
    let (mut last, mut clustered) = (0, BTreeSet::new());
    let printed = observer.stdout();
    for line in printed.lines() {
        let told: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        if told["gone"] == true {
            continue;
        }
        let (_, token) = told["token"].as_str().and_then(|token| token.split_once('@')).expect("a token");
        let token: u64 = token.parse().expect("a number");
        assert!(token >= last, "{token} wrote after {last}:\n{printed}");
        last = token;
        let session = told["sessionID"].as_str().expect("a session").to_owned();
        if told["state"] == "clustered" {
            clustered.insert(session);
        } else {
            assert!(!clustered.contains(&session), "{session} was reset:\n{printed}");
        }
    }
    assert!(last > 0, "nothing was seen");
}
