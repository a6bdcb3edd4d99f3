//! `kill -9` of an agent at every step of render, write and notify: before it, after it, and in the middle of what it writes.
//!
//! What the steps are is not written down here. One run is followed to its end, and each call that it made of the system, to
//! change a file or to start a command, is a step; then it is killed at each of them.

mod call;
mod scene;
mod tracer;

use cluster_control_tests::Context;

use scene::Scene;
pub(crate) use tracer::is_possible;
use tracer::{Moment, Step, Target};

/// Without one of these nobody was killed where it matters, in the order in which they come.
const WRITING: [&str; 11] = [
    "create out/.db.cluster-control.*",
    "write out/.db.cluster-control.*",
    "sync out/.db.cluster-control.*",
    "create state/.pending.json.cluster-control.*",
    "write state/.pending.json.cluster-control.*",
    "rename state/.pending.json.cluster-control.* to state/pending.json",
    "rename out/.db.cluster-control.* to out/db",
    "sync out",
    "start a command",
    "write pipe",
    "remove state/pending.json",
];
/// What comes before that when something was left behind.
const STARTING: [&str; 2] = ["create state/.probe.cluster-control.*", "remove out/.db.cluster-control.*"];

/// Of one that works, and is told of a change.
pub(crate) fn killed_at_every_step(context: &Context) {
    let mut scene = Scene::new(context);
    let mut agent = scene.start();
    let steps = scene.steps_of_a_change(&agent);
    assert_covered(&steps, &WRITING);
    for target in targets(&steps) {
        scene.change_and_kill(agent, &target);
        agent = scene.recover(&target);
    }
}

/// Of one that starts, and finds what a killed one has left: a temporary file, and somebody who is to be told.
pub(crate) fn killed_at_every_step_of_a_start(context: &Context) {
    let mut scene = Scene::new(context);
    let mut agent = scene.start();
    let steps = scene.steps_of_a_change(&agent);
    let step = steps.iter().find(|step| step.what == WRITING[6]).expect("the file is put in its place");
    let first = Target { step: step.clone(), moment: Moment::Before };
    scene.change_and_kill(agent, &first);
    let steps = scene.steps_of_a_start();
    assert_covered(&steps, &STARTING);
    assert_covered(&steps, &WRITING);
    for target in targets(&steps) {
        agent = scene.recover(&first);
        scene.change_and_kill(agent, &first);
        scene.start_and_kill(&target);
    }
    scene.recover(&first);
}

fn targets(steps: &[Step]) -> Vec<Target> {
    let mut targets = Vec::new();
    for step in steps {
        let moments: &[_] = if step.writes && step.what != "write pipe" {
            &[Moment::Before, Moment::Midway, Moment::After]
        } else {
            &[Moment::Before, Moment::After]
        };
        println!("killed at {:?} of: {} ({})", moments, step.what, step.time);
        targets.extend(moments.iter().map(|moment| Target { step: step.clone(), moment: *moment }));
    }
    println!("{} steps, killed {} times", steps.len(), targets.len());
    targets
}

fn assert_covered(steps: &[Step], wanted: &[&str]) {
    let mut rest = steps.iter();
    for wanted in wanted {
        assert!(rest.any(|step| step.what == *wanted), "no step of {wanted:?} in its turn: {steps:#?}");
    }
}
