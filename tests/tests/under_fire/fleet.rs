//! Many agents: each is the program with a child, an entry of its own, a file, and a command that keeps what the file held
//! whenever it was told of a change.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use cluster_control_tests::{Context, Process, SOON, Sandbox, Signal, eventually};

use crate::recorder::{Recorder, Versions};

/// Started at once; the next ones follow when these are registered.
const BATCH: usize = 10;
/// So many agents write down who the agents are, and that there are none where they are told so.
const OBSERVERS: usize = 2;
/// The shorter time to live, in seconds: of every second agent.
pub(crate) const SHORT: u64 = 6;
/// Longer than any outage here, and what is left of it after a third has passed as well.
pub(crate) const LONG: u64 = 90;

/// How long the agents keep members of the database that may have expired, in seconds.
pub(crate) const GRACE: u64 = 15;

/// What a child says that does nothing about it.
const ENDED_BY_TERM: i32 = 128 + 15;

/// One of them.
pub(crate) struct Agent {
    pub(crate) process: Process,
    dir: String,
    child: String,
}

/// All of them.
pub(crate) struct Fleet<'a> {
    context: &'a Context,
    pub(crate) agents: Vec<Agent>,
    recorder: Recorder,
}

pub(crate) fn name(number: usize) -> String {
    format!("agent-{number:03}")
}

/// Whether an agent's entry lives for the longer time.
fn is_long(number: usize) -> bool {
    number % 2 == 1
}

impl<'a> Fleet<'a> {
    /// Starts them on this registry and returns when all are registered and have their file with these members.
    pub(crate) fn start(context: &'a Context, url: &str, size: usize, members: &[&str]) -> Self {
        let mut agents = Vec::new();
        while agents.len() < size {
            let batch: Vec<_> = (agents.len()..size.min(agents.len() + BATCH)).collect();
            let started: Vec<_> = batch.iter().map(|number| (*number, launch(context, url, *number))).collect();
            for (number, process) in started {
                let dir = name(number);
                eventually(SOON, &format!("{dir} is registered"), || process.stderr().contains(": registered"));
                agents.push(Agent { child: child_of(context, &dir), process, dir });
            }
        }
        let list = json(members);
        let files: Vec<_> = agents.iter().map(|agent| context.path(&agent.dir).join("db.json")).collect();
        for file in &files {
            eventually(SOON, "the file is there", || std::fs::read_to_string(file).is_ok_and(|text| text == list));
        }
        let all = names(size);
        for number in 0..OBSERVERS {
            eventually(SOON, "everybody is seen", || sees(context, number, &all));
        }
        let watched = files.into_iter().chain((0..OBSERVERS).map(|number| observed(context, number)));
        Self { context, agents, recorder: Recorder::start(watched.collect()) }
    }

    /// Every version of every file of a member list, by agent.
    pub(crate) fn versions(&self) -> Versions {
        let mut versions = self.recorder.versions();
        versions.retain(|path, _| path.ends_with("db.json"));
        versions
    }

    /// The lists that the observers had, each a set of names.
    pub(crate) fn observed(&self) -> Vec<BTreeSet<String>> {
        let versions = self.recorder.versions();
        let lists = (0..OBSERVERS).flat_map(|number| versions[&observed(self.context, number)].clone());
        lists.map(|text| members_of(&text)).collect()
    }

    /// Fails if any list that an observer had left out any agent: all of them live throughout.
    pub(crate) fn assert_nobody_was_missing(&self, when: &str) {
        let all = names(self.agents.len());
        for seen in self.observed() {
            let missing: Vec<_> = all.difference(&seen).collect();
            assert!(missing.is_empty(), "{when}: {missing:?} lived throughout and were not listed");
        }
    }

    /// What each agent's command was told, in this order.
    pub(crate) fn reloads(&self) -> Vec<Vec<String>> {
        let logs = self.agents.iter().map(|agent| self.context.read(&format!("{}/reloads", agent.dir)));
        logs.map(|log| log.unwrap_or_default().lines().map(str::to_owned).collect()).collect()
    }

    /// Fails unless every file had exactly these versions and every command was told of each but the first, once.
    pub(crate) fn assert_versions(&mut self, wanted: &[&[&str]], when: &str) {
        let wanted: Vec<_> = wanted.iter().map(|members| json(members)).collect();
        for (path, versions) in self.versions() {
            assert_eq!(versions, wanted, "{when}: the versions of {}", path.display());
        }
        for (number, reloads) in self.reloads().into_iter().enumerate() {
            assert_eq!(reloads, wanted[1..], "{when}: what {} was told", name(number));
        }
        for agent in &mut self.agents {
            assert!(agent.process.is_running(), "{when}: {} has ended", agent.dir);
            let children = self.context.read(&format!("{}/children", agent.dir)).expect("it had one");
            assert_eq!(children, agent.child, "{when}: {} has another child", agent.dir);
            let stat = PathBuf::from(format!("/proc/{}/cmdline", children.trim()));
            let runs = std::fs::read_to_string(stat).is_ok_and(|text| text.starts_with("sleep"));
            assert!(runs, "{when}: the child of {} has ended", agent.dir);
        }
    }

    /// Waits until every file holds these members and every command has been told so often.
    pub(crate) fn hold(&self, members: &[&str], told: usize) {
        self.hold_within(SOON, members, told);
    }

    pub(crate) fn hold_within(&self, limit: Duration, members: &[&str], told: usize) {
        let wanted = json(members);
        eventually(limit, &format!("every file holds {wanted}, and {told} changes are told"), || {
            let files = self.recorder.versions();
            let mut files = files.iter().filter(|(path, _)| path.ends_with("db.json"));
            files.all(|(_, versions)| versions.last() == Some(&wanted))
                && self.reloads().iter().all(|lines| lines.len() >= told)
        });
    }

    /// Waits until every agent has an entry, by somebody else's account, and says that it has.
    pub(crate) fn registered(&self) {
        let (dir, all) = (self.context.at("web"), names(self.agents.len()));
        let limit = SOON * 3;
        eventually(limit, "everybody is registered", || {
            self.context.witness.names(&dir).into_iter().collect::<BTreeSet<_>>() == all
        });
        for agent in &self.agents {
            eventually(limit, &format!("{} knows that it is registered", agent.dir), || {
                let said = agent.process.stderr();
                said.rfind(": registered") > said.rfind("not registered")
            });
        }
        for number in 0..OBSERVERS {
            eventually(limit, "everybody is seen", || sees(self.context, number, &all));
        }
    }

    /// How many have said that they had lost their entry: those with a short time to live, and the others.
    pub(crate) fn losses(&self) -> (usize, usize) {
        let lost = |long: bool| {
            let some = self.agents.iter().enumerate().filter(|(number, _)| is_long(*number) == long);
            some.filter(|(_, agent)| agent.process.stderr().contains("not registered")).count()
        };
        (lost(false), lost(true))
    }

    /// Asks all to end at once: each stops its child and ends with its status, and has given its entry back by then, however
    /// long that would have lived.
    pub(crate) fn end(mut self) {
        self.signal(Signal::TERM);
        for agent in &mut self.agents {
            let code = agent.process.wait(SOON * 3);
            assert_eq!(code, ENDED_BY_TERM, "{}: {}", agent.dir, agent.process.stderr());
            let left = PathBuf::from(format!("/proc/{}", agent.child.trim()));
            assert!(!left.exists(), "the child of {} has been left behind", agent.dir);
        }
        let left = self.context.witness.names(&self.context.at("web"));
        assert!(left.is_empty(), "all have ended, and these are still listed: {left:?}");
    }

    /// Freezes all, and returns when not one of their threads runs any more.
    pub(crate) fn freeze(&mut self) {
        self.signal(Signal::STOP);
        for agent in &self.agents {
            eventually(SOON, "it stands still", || stands_still(agent.process.id()));
        }
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        for agent in &mut self.agents {
            agent.process.signal(signal);
        }
    }
}

impl Drop for Fleet<'_> {
    fn drop(&mut self) {
        // All at once; asked one after the other, a hundred would take their time. The sandbox ends the children.
        self.signal(Signal::KILL);
    }
}

pub(crate) fn names(size: usize) -> BTreeSet<String> {
    (0..size).map(name).collect()
}

/// Whether every thread of a process is stopped. The state follows the name.
fn stands_still(id: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{id}/task")).expect("it is there").flatten();
    let mut states = threads.map(|thread| std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default());
    states.all(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T')))
}

fn observed(context: &Context, number: usize) -> PathBuf {
    context.path(name(number)).join("fleet.json")
}

/// Whether the file of this observer is there and holds these.
fn sees(context: &Context, number: usize, members: &BTreeSet<String>) -> bool {
    std::fs::read_to_string(observed(context, number)).is_ok_and(|text| members_of(&text) == *members)
}

/// What its child wrote down; it is started before the registration, and may write after it.
fn child_of(context: &Context, dir: &str) -> String {
    let file = format!("{dir}/children");
    let written = || context.read(&file).filter(|text| text.ends_with('\n'));
    eventually(SOON, &format!("{dir} has a child"), || written().is_some());
    written().expect("it is there")
}

fn json(members: &[&str]) -> String {
    serde_json::to_string(members).expect("names are text")
}

fn members_of(text: &str) -> BTreeSet<String> {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("a torn file: {error}: {text:?}"))
}

fn launch(context: &Context, url: &str, number: usize) -> Process {
    let (dir, key) = (name(number), context.at("web"));
    let ttl = if is_long(number) { LONG } else { SHORT };
    let path = context.path(&dir);
    let path = path.display();
    let mut text = format!(
        "[registry]\nurl = \"{url}\"\n[self]\nkey = \"{key}/{dir}\"\nttl = \"{ttl}s\"\n\
         [[watch]]\nname = \"db\"\npath = \"{}\"\ngrace = \"{GRACE}s\"\n\
         [[file]]\nkind = \"json\"\nwatch = [\"db\"]\ndest = \"{path}/db.json\"\nnotify = [\"reload\"]\n\
         [[notify]]\nname = \"reload\"\nkind = \"exec\"\non_first = \"skip\"\n\
         argv = [\"sh\", \"-c\", \"echo \\\"$(cat {path}/db.json)\\\" >> {path}/reloads\"]\n",
        context.at("db"),
    );
    if number < OBSERVERS {
        let observer = format!(
            "[[watch]]\nname = \"fleet\"\npath = \"{key}\"\n\
             [[file]]\nkind = \"json\"\nwatch = [\"fleet\"]\ndest = \"{path}/fleet.json\"\n\
             on_empty = \"render\"\n"
        );
        text.push_str(&observer);
    }
    let file = context.write(&format!("{dir}/cluster-control.toml"), text);
    let child = format!("echo $$ >> {path}/children; exec sleep 1000");
    let config = file.to_string_lossy().into_owned();
    // Not as the context would do it: that would go around the relay.
    let sandbox: &Sandbox = context;
    sandbox.program(["run", "--config", &config, "--", "sh", "-c", &child]).start()
}
