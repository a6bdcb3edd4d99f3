//! What goes wrong, and what was asked.

use std::time::Duration;

use registry_core::{Condition, ErrorKind, Index};
use tokio::time::Instant;

/// A method of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Register,
    Renew,
    Update,
    Deregister,
    Remove,
    List,
    Watch,
    WhyRemoved,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// It fails, and nothing was done.
    Fail(ErrorKind),
    /// It is never answered, and nothing was done.
    Hang,
    /// It is done at once, and answered after this time.
    Slow(Duration),
    /// It is done after this time, and then answered.
    Late(Duration),
    /// It is done, and the answer is lost.
    AnswerLost,
    /// It fails at once, and is done after this time, when whoever asked has gone on.
    Overtaken(Duration),
}

/// How a watch ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// With an error as its last item.
    Fail(ErrorKind),
    /// Without a word.
    End,
    /// It stays open and says nothing any more.
    Silence,
}

/// What becomes of one watch: after so many batches with changes, it is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) batches: usize,
    pub(crate) then: Cut,
}

/// A call that was made, at the moment when it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) op: Op,
    pub(crate) at: Instant,
    pub(crate) condition: Condition,
    pub(crate) after: Index,
}

impl Call {
    pub(crate) fn of(op: Op) -> Self {
        let (condition, after) = (Condition::Any, Index::default());
        Self { op, at: Instant::now(), condition, after }
    }
}

/// The faults that are due, and the calls that were made.
#[derive(Default)]
pub(crate) struct Script {
    /// For the next call only, the oldest first.
    once: Vec<(Op, Fault)>,
    /// For every call until it is healed.
    standing: Vec<(Op, Fault)>,
    pub(crate) plans: Vec<Plan>,
    /// Plans for every watch until it is healed.
    pub(crate) plan: Option<Plan>,
    /// What may become of any call, by chance.
    pub(crate) chance: Option<Box<dyn FnMut(Op) -> Option<Fault> + Send>>,
    pub(crate) calls: Vec<Call>,
}

impl Script {
    pub(crate) fn next(&mut self, op: Op, fault: Fault) {
        self.once.push((op, fault));
    }

    pub(crate) fn every(&mut self, op: Op, fault: Fault) {
        self.standing.retain(|(other, _)| *other != op);
        self.standing.push((op, fault));
    }

    /// Calls are answered again; the rest of the script stays.
    pub(crate) fn restore(&mut self) {
        self.standing.clear();
    }

    pub(crate) fn heal(&mut self) {
        self.once.clear();
        self.standing.clear();
        self.plans.clear();
        self.plan = None;
        self.chance = None;
    }

    /// Notes a call, and says what becomes of it.
    pub(crate) fn begin(&mut self, call: Call) -> Option<Fault> {
        let op = call.op;
        self.calls.push(call);
        if let Some(at) = self.once.iter().position(|(other, _)| *other == op) {
            return Some(self.once.remove(at).1);
        }
        let standing = self.standing.iter().find(|(other, _)| *other == op).map(|(_, fault)| *fault);
        standing.or_else(|| self.chance.as_mut().and_then(|chance| chance(op)))
    }

    /// What becomes of a new watch.
    pub(crate) fn plan(&mut self) -> Option<Plan> {
        if self.plans.is_empty() { self.plan } else { Some(self.plans.remove(0)) }
    }
}
