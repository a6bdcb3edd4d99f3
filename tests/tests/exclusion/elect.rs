//! `elect`: the same for a leader, who is known.

use std::time::Duration;

use cluster_control_tests::{Context, Finished, SOON, Signal};

use crate::worker::{in_token_order, log, program, signal, until_there_are, until_works, work, work_for};

fn show(context: &Context, options: &[&str]) -> Finished {
    let at = context.at("it");
    program(context, [&["elect", at.as_str(), "--show"], options].concat()).finish(SOON)
}

pub(crate) fn shown(context: &Context) {
    let nobody = show(context, &[]);
    assert_eq!((nobody.code, nobody.stdout.as_str()), (4, ""), "{nobody:?}");
    // The time to live is over long after this trial has lost its patience.
    let long = Duration::from_mins(1);
    let mut first = work_for(context, long, "elect", &["--value", "10.0.0.1"], "a");
    until_works(context, "a");
    assert_eq!(show(context, &[]).stdout, "10.0.0.1\n");
    let token = log(context)[0].0;
    let json = format!("{{\"leader\":\"10.0.0.1\",\"token\":{token}}}\n");
    assert_eq!(show(context, &["-o", "json"]).stdout, json);
    // Who resigns is followed at once.
    let _second = work_for(context, long, "elect", &["--value", "10.0.0.2\n"], "b");
    until_there_are(context, 2);
    first.signal(Signal::TERM);
    assert_eq!(first.wait(SOON), 143, "{}", first.stderr());
    until_works(context, "b");
    // What a leader says of itself comes from outside.
    assert_eq!(show(context, &[]).stdout, "10.0.0.2\\n\n");
    in_token_order(context);
}

pub(crate) fn killed(context: &Context) {
    let mut first = work(context, "elect", &[], "a");
    until_works(context, "a");
    let _second = work(context, "elect", &[], "b");
    until_there_are(context, 2);
    signal(context, "a", Signal::STOP);
    first.signal(Signal::KILL);
    signal(context, "a", Signal::KILL);
    until_works(context, "b");
    in_token_order(context);
}
