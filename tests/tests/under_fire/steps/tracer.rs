//! Follows a running program from one step to the next, and ends it at one of them, as `kill -9` does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use cluster_control_tests::SOON;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal as Name;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid as Thread;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

use super::call::{Call, Places};

const PAUSE: Duration = Duration::from_micros(200);

/// Which part of a step is the last that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Before,
    /// Half of the bytes are written.
    Midway,
    After,
}

/// A step of one run: the same thing may be done several times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) what: String,
    pub(crate) time: usize,
    pub(crate) writes: bool,
}

/// The end of a program.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) step: Step,
    pub(crate) moment: Moment,
}

/// Follows a program in the background.
pub(crate) struct Tracer {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Step>>,
}

impl Tracer {
    /// Follows it from now on, all of its threads; returns when nothing can escape any more. Until [`steps`](Self::steps) has
    /// returned nobody else may wait for the process: what it stops at is told to whoever waits.
    pub(crate) fn attach(process: u32, places: Places, target: Option<Target>) -> Self {
        let (over, attached) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (end, begun) = (Arc::clone(&over), Arc::clone(&attached));
        // The system tells what happens to the thread that follows, and ends the following with it.
        let thread = thread::spawn(move || {
            let mut tracing = Tracing { process, places, target, steps: Vec::new(), inside: BTreeMap::new() };
            tracing.attach();
            begun.store(true, Ordering::SeqCst);
            tracing.run(&end);
            tracing.steps
        });
        while !attached.load(Ordering::SeqCst) && !thread.is_finished() {
            sleep(PAUSE);
        }
        Self { over, thread }
    }

    /// True once it has been killed.
    pub(crate) fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Lets go of the program where it still runs; its steps so far.
    pub(crate) fn steps(self) -> Vec<Step> {
        self.over.store(true, Ordering::SeqCst);
        self.thread.join().expect("following does not fail")
    }
}

struct Tracing {
    process: u32,
    places: Places,
    target: Option<Target>,
    steps: Vec<Step>,
    /// Threads in the middle of a step.
    inside: BTreeMap<i32, Step>,
}

impl Tracing {
    fn attach(&self) {
        let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACECLONE;
        let mut known = BTreeSet::new();
        loop {
            let tasks = fs::read_dir(format!("/proc/{}/task", self.process)).expect("it runs").flatten();
            let ids = tasks.filter_map(|task| task.file_name().to_str()?.parse::<i32>().ok());
            let new: Vec<_> = ids.filter(|id| known.insert(*id)).collect();
            if new.is_empty() {
                return;
            }
            for id in new {
                // One that a followed thread has started is followed already; another one may have ended.
                if ptrace::seize(Thread::from_raw(id), options).is_ok() {
                    let _ = ptrace::interrupt(Thread::from_raw(id));
                }
            }
        }
    }

    fn run(&mut self, over: &AtomicBool) {
        // Those that this thread follows, and nobody else's children.
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD | WaitPidFlag::WNOHANG;
        loop {
            match waitpid(Thread::from_raw(-1), Some(flags)) {
                Ok(WaitStatus::StillAlive) => {
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                    sleep(PAUSE);
                }
                Ok(WaitStatus::PtraceSyscall(thread)) => {
                    if self.at_call(thread) {
                        return self.kill();
                    }
                    let _ = ptrace::syscall(thread, None);
                }
                // It has no room for the other half.
                Ok(WaitStatus::Stopped(_, Name::SIGXFSZ)) => return self.kill(),
                Ok(WaitStatus::Stopped(thread, signal)) => drop(ptrace::syscall(thread, signal)),
                Ok(WaitStatus::PtraceEvent(thread, ..)) => drop(ptrace::syscall(thread, None)),
                Ok(WaitStatus::Exited(thread, _) | WaitStatus::Signaled(thread, ..)) => {
                    assert!(thread.as_raw().cast_unsigned() != self.process, "it has ended by itself");
                }
                Ok(WaitStatus::Continued(_)) => {}
                Err(error) => panic!("nothing is left to be followed: {error}"),
            }
        }
    }

    /// True when this is where it ends.
    fn at_call(&mut self, thread: Thread) -> bool {
        let Ok(info) = ptrace::syscall_info(thread) else { return false };
        if info.op == libc::PTRACE_SYSCALL_INFO_EXIT {
            let done = self.inside.remove(&thread.as_raw());
            return done.is_some_and(|step| self.is_target(&step, Moment::After));
        }
        let Some(call) = Call::of(self.process, thread.as_raw(), &self.places) else { return false };
        let time = 1 + self.steps.iter().filter(|step| step.what == call.what).count();
        let step = Step { time, writes: call.bytes.is_some_and(|bytes| bytes > 1), what: call.what };
        self.steps.push(step.clone());
        if self.is_target(&step, Moment::Midway) {
            self.leave_room(call.bytes.unwrap_or_default() / 2);
        }
        let reached = self.is_target(&step, Moment::Before);
        self.inside.insert(thread.as_raw(), step);
        reached
    }

    fn is_target(&self, step: &Step, moment: Moment) -> bool {
        self.target.as_ref().is_some_and(|target| target.step == *step && target.moment == moment)
    }

    /// No file can become longer than this: the system writes what fits, and sends a signal when the rest is tried.
    fn leave_room(&self, bytes: u64) {
        let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        prlimit(Some(self.pid()), Resource::Fsize, limit).expect("a limit can be lowered");
    }

    /// A thread at the beginning of a call does not make it any more.
    fn kill(&self) {
        kill_process(self.pid(), Signal::KILL).expect("it runs");
    }

    fn pid(&self) -> Pid {
        let id = i32::try_from(self.process).expect("a small number");
        Pid::from_raw(id).expect("not zero")
    }
}

/// Whether this machine lets one process follow another.
pub(crate) fn is_possible() -> Result<(), String> {
    let mut child = std::process::Command::new("sleep").arg("60").spawn().map_err(|error| error.to_string())?;
    let thread = Thread::from_raw(child.id().cast_signed());
    // In a thread of its own, with whose end the following ends.
    let seized = thread::spawn(move || ptrace::seize(thread, Options::PTRACE_O_TRACESYSGOOD)).join();
    let _ = child.kill();
    let _ = child.wait();
    let seized = seized.map_err(|_| "the probe failed".to_owned())?;
    seized.map_err(|error| format!("one process cannot follow another here (ptrace: {error})"))
}

/// Waits for the target, which must come.
pub(crate) fn reached(tracer: Tracer, target: &Target) {
    let begun = Instant::now();
    while !tracer.is_over() && begun.elapsed() < SOON {
        sleep(PAUSE);
    }
    let over = tracer.is_over();
    let steps = tracer.steps();
    assert!(over, "it did not come to {target:?}, only to these: {steps:#?}");
}
