//! `kill -9` at random moments of render, write and notify, while members come and go.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use cluster_control_tests::{Context, SOON, Signal, Witness, eventually};
use rustix::process::{Pid, kill_process};

const ROUNDS: u32 = 40;
/// The file has its line so often, to make it possible to be caught in the middle of it.
const LINES: usize = 500;
const END: &str = "the end";
/// From before the first write to the middle of many.
const LONGEST_MS: u64 = 250;

pub(crate) fn killed_at_any_moment(context: &Context) {
    let seed = std::env::var("SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().expect("a number"));
    println!("play it again: SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let file = context.path("out/db");
    configure(context);
    let mut here = BTreeSet::from(["m0".to_owned()]);
    context.witness.put(&context.at("db/m0"), "0");
    let (mut leftovers, mut untold) = (0, 0);
    for round in 0..ROUNDS {
        let churn = Churn::start(context, here, random.fork());
        let mut agent = start(context);
        if random.bool() {
            // Half of them die in the midst of work, the others while they start.
            eventually(SOON, "it works", || context.read("seen").is_some());
        }
        let (begun, moment) = (Instant::now(), Duration::from_millis(random.u64(..LONGEST_MS)));
        while begun.elapsed() < moment {
            if let Ok(text) = fs::read_to_string(&file) {
                whole(&text, round);
            }
        }
        agent.signal(Signal::KILL);
        agent.wait(SOON);
        here = churn.end();
        nothing_runs(context);
        if let Ok(text) = fs::read_to_string(&file) {
            whole(&text, round);
        }
        leftovers += fs::read_dir(context.path("out")).expect("a directory").count().saturating_sub(1);
        untold += usize::from(context.read("out/db") != context.read("seen"));

        let agent = start(context);
        let wanted = content(&here);
        eventually(SOON, &format!("SEED={seed} round {round}: the newest state is written and told"), || {
            let text = context.read("out/db");
            if let Some(text) = &text {
                whole(text, round);
            }
            text.as_deref() == Some(&wanted) && context.read("seen").as_deref() == Some(&wanted)
        });
        let left: Vec<_> =
            fs::read_dir(context.path("out")).expect("a directory").flatten().map(|e| e.file_name()).collect();
        assert_eq!(left, ["db"], "SEED={seed} round {round}: only the file");
        drop(agent);
        nothing_runs(context);
        fs::remove_file(context.path("seen")).expect("it has been told");
        if random.bool() {
            fs::remove_file(&file).expect("it was written");
        } else {
            fs::copy(&file, context.path("seen")).expect("it was told of that");
        }
    }
    println!(
        "{ROUNDS} kills: {leftovers} temporary files were left for the next one, {untold} times somebody was still to be told"
    );
}

fn configure(context: &Context) {
    let template = format!(
        "{{% for line in range({LINES}) %}}{{% for member in clusters.db %}}{{{{ member.name }}}} {{% endfor %}}\n\n{{% endfor %}}{END}\n"
    );
    let src = context.write("db.j2", template);
    fs::create_dir(context.path("out")).expect("a directory");
    let dir = context.dir();
    let dir = dir.display();
    context.write(
        "cluster-control.toml",
        format!(
            "[registry]\nurl = \"{}\"\n[[watch]]\nname = \"db\"\npath = \"{}\"\ngrace = \"0s\"\n\
             [[file]]\nkind = \"template\"\nsrc = \"{}\"\nwatch = [\"db\"]\ndest = \"{dir}/out/db\"\nwindow = \"1ms\"\n\
             notify = [\"reload\"]\n[[notify]]\nname = \"reload\"\nkind = \"exec\"\n\
             argv = [\"sh\", \"-c\", \"cp {dir}/out/db {dir}/seen.new && mv {dir}/seen.new {dir}/seen\"]\n",
            context.url(),
            context.at("db"),
            src.display(),
        ),
    );
}

fn start(context: &Context) -> cluster_control_tests::Process {
    context.program(["run", "--", "sleep", "1000"]).start()
}

fn content(members: &BTreeSet<String>) -> String {
    let names: Vec<_> = members.iter().map(String::as_str).collect();
    format!("{} \n", names.join(" ")).repeat(LINES) + END + "\n"
}

fn whole(text: &str, round: u32) {
    let lines: Vec<_> = text.lines().collect();
    let is_whole =
        lines.len() == LINES + 1 && lines.last() == Some(&END) && lines[..LINES].iter().all(|line| line == &lines[0]);
    assert!(is_whole, "round {round}: a torn file of {} lines: {:?} … {:?}", lines.len(), lines.first(), lines.last());
}

/// What a killed agent has started goes on, and would write down what it has seen after the next one has.
fn nothing_runs(context: &Context) {
    eventually(SOON, "what was started has ended", || {
        let left = context.processes();
        for id in &left {
            if let Some(pid) = i32::try_from(*id).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        left.is_empty()
    });
}

/// Members that come and go until it is ended.
struct Churn {
    over: Arc<AtomicBool>,
    thread: JoinHandle<BTreeSet<String>>,
}

impl Churn {
    fn start(context: &Context, mut here: BTreeSet<String>, mut random: fastrand::Rng) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (ended, witness, dir): (_, Witness, _) = (Arc::clone(&over), context.witness.clone(), context.at("db"));
        let thread = thread::spawn(move || {
            while !ended.load(Ordering::SeqCst) {
                let name = format!("m{}", random.u8(1..8));
                let path = format!("{dir}/{name}");
                if here.remove(&name) {
                    assert!(witness.remove(&path), "{path} was there");
                } else {
                    witness.put(&path, "0");
                    here.insert(name);
                }
                sleep(Duration::from_millis(random.u64(1..12)));
            }
            here
        });
        Self { over, thread }
    }

    /// Who is there in the end.
    fn end(self) -> BTreeSet<String> {
        self.over.store(true, Ordering::SeqCst);
        self.thread.join().expect("members come and go")
    }
}
