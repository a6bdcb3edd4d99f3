//! One agent with a file and a command, who is killed and started again.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cluster_control_tests::{Context, Process, SOON, Signal, eventually, never};
use rustix::process::{Pid, kill_process};

use super::call::Places;
use super::tracer::{Step, Target, Tracer, reached};

/// So many lines, that half of them are more than anything else the program writes.
const LINES: usize = 4000;
/// For what would come at once if it came.
const QUIET: Duration = Duration::from_millis(300);
const KILLED: i32 = 128 + 9;

pub(super) struct Scene<'a> {
    context: &'a Context,
    places: Places,
    /// Comes and goes.
    second: bool,
}

/// What the command was told, and what the file held then.
struct Telling {
    /// `None`: whoever told it was killed in the middle of it.
    members: Option<BTreeSet<String>>,
    file: String,
}

impl<'a> Scene<'a> {
    /// With one member, and the file written and told of.
    pub(super) fn new(context: &'a Context) -> Self {
        configure(context);
        context.witness.put(&context.at("db/m0"), "0");
        let mut scene = Self { context, places: Places::from([("out", context.path("out"))]), second: false };
        let agent = scene.start();
        scene.wait(|| false);
        drop(agent);
        scene.end_orphans();
        // One directory for each configuration, and there is only one.
        let state = context.runtime_dir().join("cluster-control");
        let mut state = fs::read_dir(state).expect("a state directory").flatten().map(|entry| entry.path());
        scene.places.insert("state", state.find(|path| path.is_dir()).expect("one configuration"));
        scene
    }

    /// Starts the agent; returns when it has started its child, which is when all files are prepared.
    pub(super) fn start(&self) -> Process {
        let _ = fs::remove_file(self.context.path("child"));
        let agent = self.context.program(["run", "--", "sh", "-c", &self.child()]).start();
        self.started();
        agent
    }

    /// What it does from a change to the end of all that follows from it.
    pub(super) fn steps_of_a_change(&mut self, agent: &Process) -> Vec<Step> {
        self.forget();
        let tracer = Tracer::attach(agent.id(), self.places.clone(), None);
        self.change();
        self.wait(|| tracer.is_over());
        tracer.steps()
    }

    /// What it does from its start, after another one was killed, to the end of all that follows from it.
    pub(super) fn steps_of_a_start(&mut self) -> Vec<Step> {
        let (agent, tracer) = self.start_followed(None);
        self.started();
        self.wait(|| tracer.is_over());
        let steps = tracer.steps();
        drop(agent);
        self.end_orphans();
        steps
    }

    /// It is killed at this step of what follows from a change.
    pub(super) fn change_and_kill(&mut self, mut agent: Process, target: &Target) {
        self.forget();
        let old = self.content();
        let tracer = Tracer::attach(agent.id(), self.places.clone(), Some(target.clone()));
        self.change();
        reached(tracer, target);
        assert_eq!(agent.wait(SOON), KILLED);
        self.end_orphans();
        let file = self.file().expect("the file is there");
        assert!(file == old || file == self.content(), "{target:?}: a torn file");
        self.tellings(target);
    }

    /// It is killed at this step of its start.
    pub(super) fn start_and_kill(&mut self, target: &Target) {
        let before = self.file().expect("the file is there");
        let (mut agent, tracer) = self.start_followed(Some(target.clone()));
        reached(tracer, target);
        assert_eq!(agent.wait(SOON), KILLED);
        self.end_orphans();
        let file = self.file().expect("the file is there");
        assert!(file == before || file == self.content(), "{target:?}: a torn file");
        self.tellings(target);
    }

    /// Started again, it writes and tells what was not written or not told, and tidies up.
    pub(super) fn recover(&mut self, target: &Target) -> Process {
        let told = self.tellings(target);
        let is_done = self.is_tidy() && !told.is_empty();
        let agent = self.start();
        self.wait(|| false);
        if is_done {
            never(QUIET, "somebody is told again of what was told, and written down as such", || {
                self.tellings(target).len() > told.len()
            });
        }
        let again = self.tellings(target).len() - told.len();
        assert!(again <= 1, "{target:?}: told {again} times after one start");
        agent
    }

    /// A file that is whole and the newest, told of, and nothing beside it.
    fn wait(&self, is_over: impl Fn() -> bool) {
        eventually(SOON, "the newest state is written and told, and nothing is left over", || {
            assert!(!is_over(), "it was killed by nobody");
            let told = self.told().iter().any(|telling| telling.members.is_some());
            told && self.is_tidy()
        });
    }

    fn is_tidy(&self) -> bool {
        let state = self.places.get("state");
        let left = state.map_or(0, |state| names(state).len());
        self.file().as_deref() == Some(&*self.content()) && names(&self.context.path("out")) == ["db"] && left == 0
    }

    fn forget(&self) {
        let told = self.context.path("told");
        fs::remove_dir_all(&told).expect("it is there");
        fs::create_dir(told).expect("a directory");
    }

    fn change(&mut self) {
        let path = self.context.at("db/m1");
        if self.second {
            assert!(self.context.witness.remove(&path), "it is there");
        } else {
            self.context.witness.put(&path, "0");
        }
        self.second = !self.second;
    }

    /// What was told since the change: whoever was told everything was told what the file held, and that is the newest.
    fn tellings(&self, target: &Target) -> Vec<Telling> {
        let told = self.told();
        for telling in &told {
            assert!(telling.file == self.content(), "{target:?}: told of what is not new");
            if let Some(members) = &telling.members {
                assert_eq!(*members, self.members(), "{target:?}: told of what was not applied");
            }
        }
        told
    }

    fn told(&self) -> Vec<Telling> {
        let told = self.context.path("told");
        let telling = |name: String| {
            let text = |file| fs::read_to_string(told.join(&name).join(file)).expect("a telling is whole");
            Telling { members: members_of(&text("members")), file: text("file") }
        };
        names(&told).into_iter().map(telling).collect()
    }

    fn members(&self) -> BTreeSet<String> {
        let members = ["m0", "m1"].into_iter().take(if self.second { 2 } else { 1 });
        members.map(str::to_owned).collect()
    }

    fn content(&self) -> String {
        let names: Vec<_> = self.members().into_iter().collect();
        format!("{} \n", names.join(" ")).repeat(LINES)
    }

    fn file(&self) -> Option<String> {
        self.context.read("out/db")
    }

    fn child(&self) -> String {
        format!("echo > {}; exec sleep 1000", self.context.path("child").display())
    }

    fn started(&self) {
        eventually(SOON, "it has started its child", || self.context.path("child").exists());
    }

    /// It stops itself before it begins, so that nothing of it escapes.
    fn start_followed(&self, target: Option<Target>) -> (Process, Tracer) {
        let _ = fs::remove_file(self.context.path("child"));
        let text = format!("kill -STOP $$; exec \"$CLUSTERCONTROL\" run -- sh -c '{}'", self.child());
        let agent = self.context.script(&text).start();
        let stopped = || state(agent.id()) == Some('T');
        eventually(SOON, "it is stopped", stopped);
        let tracer = Tracer::attach(agent.id(), self.places.clone(), target);
        signal(agent.id(), Signal::CONT);
        (agent, tracer)
    }

    /// Commands that were told something come to their end; the child, which nobody stops any more, is killed.
    fn end_orphans(&self) {
        eventually(SOON, "what was started has ended", || {
            let left = self.context.processes();
            for id in &left {
                let runs = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
                if runs.starts_with(b"sleep\0") {
                    signal(*id, Signal::KILL);
                }
            }
            left.is_empty()
        });
    }
}

fn configure(context: &Context) {
    let line = "{% for member in clusters.db %}{{ member.name }} {% endfor %}";
    let src = context.write("db.j2", format!("{{% for line in range({LINES}) %}}{line}\n\n{{% endfor %}}"));
    for name in ["out", "told"] {
        fs::create_dir(context.path(name)).expect("a directory");
    }
    let dir = context.dir();
    let dir = dir.display();
    // What it was told is there as a whole, or not at all.
    let command =
        format!("cd {dir}; t=$(mktemp -d telling.XXXXXXXX) && cat > $t/members && cp out/db $t/file && mv $t told/$t");
    context.write(
        "cluster-control.toml",
        format!(
            "[registry]\nurl = \"{}\"\n[[watch]]\nname = \"db\"\npath = \"{}\"\ngrace = \"0s\"\n\
             [[file]]\nkind = \"template\"\nsrc = \"{}\"\nwatch = [\"db\"]\ndest = \"{dir}/out/db\"\nwindow = \"1ms\"\n\
             mode = \"0640\"\nnotify = [\"reload\"]\n[[notify]]\nname = \"reload\"\nkind = \"exec\"\n\
             argv = [\"sh\", \"-c\", \"{command}\"]\n",
            context.url(),
            context.at("db"),
            src.display(),
        ),
    );
}

/// The members in what the command read.
fn members_of(text: &str) -> Option<BTreeSet<String>> {
    let message: serde_json::Value = serde_json::from_str(text).ok()?;
    let members = message["clusters"]["db"].as_array().expect("a list of members");
    Some(members.iter().map(|member| member["name"].as_str().expect("a name").to_owned()).collect())
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory").flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn state(process: u32) -> Option<char> {
    let stat = fs::read_to_string(PathBuf::from(format!("/proc/{process}/stat"))).ok()?;
    stat.rsplit(')').next()?.trim_start().chars().next()
}

fn signal(process: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}
