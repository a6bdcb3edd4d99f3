//! A server that comes and goes for as long as one likes, in a cluster that changes all the time: what its agents need, and say.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use cluster_control_tests::{Context, Process, SOON, eventually};

const AGENTS: usize = 4;
/// So often it has come and gone before the first measurement: by then everything has been used once.
const WARM: usize = 3;
/// Threads that are kept for a while end within ten seconds.
const REST: Duration = Duration::from_secs(12);
/// What an agent may say in a minute. Twice what it says of one flap in seven seconds: stale and fresh, not registered and registered
/// again, and once in ten seconds that a file was written and a command was told.
const LINES: usize = 120;
/// By how much an agent may have grown in the end: the allocator's own needs differ a little each time.
const GROWTH: usize = 2 * 1024;

/// So many threads and files come and go: one that blocks on a disk or a process, its connection that is made anew.
const FEW: usize = 2;

/// How long: half a minute, or `SOAK`, such as `90s`, `10m` or `2h`.
fn time() -> Duration {
    let Ok(text) = std::env::var("SOAK") else { return Duration::from_secs(30) };
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().expect("SOAK is a number with a unit: 90s, 10m, 2h");
    match unit {
        "" | "s" => Duration::from_secs(number),
        "m" => Duration::from_mins(number),
        "h" => Duration::from_hours(number),
        other => panic!("SOAK has the unit {other:?}, and may have s, m or h"),
    }
}

/// What a process has in use.
#[derive(Clone, Copy, Debug)]
struct Use {
    /// In KiB.
    memory: usize,
    threads: usize,
    files: usize,
    lines: usize,
}

impl Use {
    fn of(process: &Process) -> Self {
        let dir = format!("/proc/{}", process.id());
        let status = fs::read_to_string(format!("{dir}/status")).expect("it runs");
        let number = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("a line for it");
            line.trim().trim_end_matches(" kB").parse().expect("a number")
        };
        let files = fs::read_dir(format!("{dir}/fd")).expect("it runs").count();
        let lines = process.stderr().lines().count();
        Self { memory: number("VmRSS:"), threads: number("Threads:"), files, lines }
    }
}

/// The agents, and a cluster that changes in each tenth of a second in which the server is there.
struct Flapping<'a> {
    context: &'a Context,
    agents: Vec<Process>,
    changes: usize,
}

pub(crate) fn agents_of_a_flapping_server(context: &Context) {
    let agents: Vec<_> = (0..AGENTS).map(|number| agent(context, number)).collect();
    let mut flapping = Flapping { context, agents, changes: 0 };
    flapping.settle();
    for round in 0..WARM {
        flapping.flap(round);
    }
    flapping.settle();
    let (before, begun) = (flapping.uses(), Instant::now());
    let mut rounds = 0;
    while begun.elapsed() < time() {
        flapping.flap(rounds);
        rounds += 1;
    }
    let noisy = begun.elapsed();
    flapping.settle();
    let bound = LINES * usize::try_from(noisy.as_secs() + 1).expect("not for years") / 60;
    println!("{}: away {rounds} times in {noisy:.0?}, {} changes", context.url(), flapping.changes);
    let mut wrong = Vec::new();
    for (number, (before, after)) in before.into_iter().zip(flapping.uses()).enumerate() {
        let lines = after.lines - before.lines;
        println!("{}: agent {number}: {before:?}, then {after:?}", context.url());
        if after.memory > before.memory + GROWTH
            || after.threads > before.threads + FEW
            || after.files > before.files + FEW
            || lines > bound
        {
            wrong.push(format!(
                "agent {number}: {before:?}, then {after:?}, with {lines} lines where {bound} are allowed"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}\n{}", flapping.agents[0].stderr());
}

impl Flapping<'_> {
    fn uses(&self) -> Vec<Use> {
        self.agents.iter().map(Use::of).collect()
    }

    /// Once away, killed or frozen by turns and for longer than a TTL every third time, and some seconds there.
    fn flap(&mut self, round: usize) {
        let server = self.context.server();
        let away = Duration::from_secs(if round % 3 == 2 { self.context.ttl() + 1 } else { 1 });
        if round.is_multiple_of(2) {
            server.kill();
            sleep(away);
            server.start_again();
        } else {
            server.pause();
            sleep(away);
            server.unpause();
        }
        let back = Instant::now();
        while back.elapsed() < Duration::from_secs(4) {
            self.change();
            sleep(Duration::from_millis(100));
        }
    }

    fn change(&mut self) {
        let key = self.context.at(&format!("db/10.0.0.{}:3306", self.changes % 20));
        if self.changes % 40 < 20 {
            self.context.witness.put(&key, "0");
        } else {
            self.context.witness.remove(&key);
        }
        self.changes += 1;
    }

    /// Returns when everything stands and nothing has happened for a while.
    fn settle(&mut self) {
        let key = self.context.at("db/last:1");
        self.context.witness.put(&key, &self.changes.to_string());
        let web = self.context.at("web");
        eventually(SOON * 3, "everybody is registered", || self.context.witness.names(&web).len() == AGENTS);
        for number in 0..AGENTS {
            eventually(SOON * 3, "the file is there", || {
                self.context.read(&format!("agent{number}/db.json")).is_some_and(|text| text.contains("last:1"))
            });
        }
        sleep(REST);
        for agent in &mut self.agents {
            assert!(agent.is_running(), "{}", agent.stderr());
        }
    }
}

fn agent(context: &Context, number: usize) -> Process {
    let dir = context.path(format!("agent{number}"));
    let text = format!(
        "[registry]\nurl = \"{url}\"\n[self]\nkey = \"{web}/agent{number}\"\nttl = \"{ttl}s\"\n\
         [health]\nexec = [\"true\"]\ninterval = \"1s\"\n\
         [[watch]]\nname = \"db\"\npath = \"{db}\"\n\
         [[file]]\nkind = \"json\"\nwatch = [\"db\"]\ndest = \"{dir}/db.json\"\nnotify = [\"reload\"]\n\
         [[notify]]\nname = \"reload\"\nkind = \"exec\"\nargv = [\"true\"]\n",
        url = context.url(),
        web = context.at("web"),
        db = context.at("db"),
        ttl = context.ttl(),
        dir = dir.display(),
    );
    let file = context.write(&format!("agent{number}/cluster-control.toml"), text);
    context.program(["run", "--config", &file.to_string_lossy(), "--", "sleep", "100000"]).start()
}
