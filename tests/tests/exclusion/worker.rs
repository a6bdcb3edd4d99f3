//! The command that must run in one place only, and the program around it.

use std::time::Duration;

use cluster_control_tests::{Context, Launch, Process, SOON, Sandbox, eventually};
use rustix::process::{Pid, Signal, kill_process};

/// How long a lock stays taken when its holder dies, where that can be short.
pub(crate) const TTL: Duration = Duration::from_secs(3);

/// Writes its process id to a file, and then its token to `work.log`, again and again.
const SCRIPT: &str =
    r#"echo $$ > "$1.pid"; while :; do echo "$CLUSTER_CONTROL_TOKEN $1" >> work.log; sleep 0.02; done"#;

/// The program on the registry of the test, also where that is named by a file elsewhere.
pub(crate) fn program<A: AsRef<str>>(context: &Context, arguments: impl IntoIterator<Item = A>) -> Launch {
    Sandbox::program(context, arguments).env("CLUSTER_CONTROL_REGISTRY", context.url())
}

/// `lock` (or `elect`) with the worker.
pub(crate) fn work(context: &Context, command: &str, options: &[&str], who: &str) -> Process {
    work_for(context, Duration::from_secs(context.ttl()), command, options, who)
}

/// The same with another time to live.
pub(crate) fn work_for(context: &Context, ttl: Duration, command: &str, options: &[&str], who: &str) -> Process {
    let (at, ttl) = (context.at("it"), format!("{}s", ttl.as_secs()));
    let words = [&[command, at.as_str(), "--ttl", ttl.as_str()], options, &["--", "sh", "-c", SCRIPT, "sh", who]];
    program(context, words.concat()).start()
}

/// Waits until the worker of this one runs: at once, or when what another one left behind has expired. On Consul that takes
/// twice its time to live, counted anew after an election.
pub(crate) fn until_works(context: &Context, who: &str) {
    let limit = SOON + Duration::from_secs(4 * context.ttl());
    eventually(limit, &format!("{who} works"), || log(context).iter().any(|(_, by)| by == who));
}

/// Waits until this many stand in line.
pub(crate) fn until_there_are(context: &Context, count: usize) {
    eventually(SOON, &format!("{count} in line"), || context.witness.names(&context.at("it")).len() == count);
}

/// Who worked with which token, in the order in which it happened.
pub(crate) fn log(context: &Context) -> Vec<(u64, String)> {
    let text = context.read("work.log").unwrap_or_default();
    let line = |line: &str| {
        let (token, who) = line.split_once(' ')?;
        Some((token.parse().ok()?, who.to_owned()))
    };
    // The last line may be written just now.
    text.lines().filter_map(line).collect()
}

/// Nobody worked with a token smaller than one that had been used before.
pub(crate) fn in_token_order(context: &Context) {
    let log = log(context);
    for pair in log.windows(2) {
        assert!(pair[0].0 <= pair[1].0, "{:?} worked after {:?}", pair[1], pair[0]);
    }
}

/// Whether the worker of this one runs.
pub(crate) fn runs(context: &Context, who: &str) -> bool {
    context.processes().contains(&pid(context, who))
}

pub(crate) fn signal(context: &Context, who: &str, signal: Signal) {
    let id = i32::try_from(pid(context, who)).expect("a process id");
    // It may have ended.
    let _ = kill_process(Pid::from_raw(id).expect("positive"), signal);
}

fn pid(context: &Context, who: &str) -> u32 {
    let text = context.read(&format!("{who}.pid")).expect("it has started");
    text.trim().parse().expect("a number")
}
