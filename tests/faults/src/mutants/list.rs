//! All of them, and what each must be caught by.

use super::schedules::Schedule;
use crate::checker::Rule;
use crate::stores::Kind;
use test_servers::Version;

/// Which client is broken, and how. `Sound` is the client without a defect, `Product` the library's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// One that follows a directory.
    Watcher(Watching),
    /// One that keeps an entry.
    Registrar(Registering),
    /// One that wants a lock.
    Contender(Locking),
    /// One that does a part of the work.
    Member(Parting),
}

/// Defects of a watcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watching {
    /// None.
    Sound,
    /// None: it is the library's own.
    Product,
    /// After an outage it goes on at the head of the history.
    FromHead,
    /// After an outage it goes on one change too far.
    OneTooFar,
    /// After an outage it is told the last change again.
    OneTooEarly,
    /// It remembers where the server's history stood instead of what it was told.
    Header,
    /// When the history was compacted, it goes on from the point of the compaction.
    Compaction,
    /// A snapshot only adds to what it knows.
    Additive,
    /// A list that fails is an empty one.
    EmptyOnFailure,
    /// The first error ends it, and it says nothing.
    GivesUp,
    /// After an outage it shows the list that it read first.
    Stale,
    /// It compares names as text: `/a` has what is in `/ab`.
    Textual,
}

/// Defects of a registrar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registering {
    /// None.
    Sound,
    /// None: it is the library's own.
    Product,
    /// A loss is the end.
    NoReregister,
    /// It renews without asking whose entry that is, or whether there is one.
    KeyNotChecked,
    /// A renewal counts when it is sent.
    RenewedOnSending,
    /// It takes a name that somebody has.
    Steals,
    /// A registration without an answer has happened.
    Assumes,
    /// After a failed renewal it registers anew, beside the entry that it still has.
    Forgets,
}

/// Defects of a contender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locking {
    /// None.
    Sound,
    /// None: it is the library's own.
    Product,
    /// It goes on without looking at the lock.
    BeyondDeadline,
    /// It goes on, and the resource does not look at tokens.
    Unfenced,
    /// It counts its own tokens.
    LocalToken,
}

/// Defects of a member of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// None.
    Sound,
    /// None: it is the library's own.
    Product,
    /// It keeps the part that it was given first.
    KeepsPart,
    /// The same with stable indices.
    KeepsSlot,
    /// It counts from the other end.
    OtherEnd,
}

/// One mutant: what is broken, what shows it, and by which name the checker must call it.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// What is broken.
    pub subject: Subject,
    /// What is wrong, for a person.
    pub says: &'static str,
    /// The store it runs on.
    pub on: Kind,
    /// What happens to it.
    pub schedule: Schedule,
    /// One of these must be named.
    pub rule: Rule,
}

const ETCD_3_4: Kind = Kind::EtcdV3(Version::V3_4);
const ETCD: Kind = Kind::EtcdV3(Version::V3_5);
const ETCD_V2: Kind = Kind::EtcdV2(Version::V3_5);

/// Every mutant.
pub const MUTANTS: &[Mutant] = &[
    watcher(Watching::FromHead, "resumes at the head of the history", ETCD, Schedule::Away, Rule::W2),
    watcher(Watching::OneTooFar, "resumes one change too far", ETCD, Schedule::Away, Rule::W2),
    watcher(Watching::OneTooEarly, "resumes one change too early", Kind::Sqlite, Schedule::Away, Rule::W2),
    watcher(Watching::Header, "resumes from the header's revision", ETCD, Schedule::CatchingUp, Rule::W2),
    watcher(Watching::Header, "resumes from the header's index", ETCD_V2, Schedule::CatchingUp, Rule::W2),
    watcher(Watching::Compaction, "resumes from the point of the compaction", ETCD, Schedule::Compacted, Rule::W2),
    watcher(
        Watching::Compaction,
        "resumes from the point of the compaction",
        Kind::Sqlite,
        Schedule::Compacted,
        Rule::W2,
    ),
    watcher(Watching::Additive, "a new snapshot only adds", ETCD, Schedule::Compacted, Rule::W1),
    watcher(Watching::Additive, "a new snapshot only adds", Kind::Sqlite, Schedule::Compacted, Rule::W1),
    watcher(Watching::EmptyOnFailure, "a list that fails is an empty one", Kind::Sqlite, Schedule::Away, Rule::W1),
    watcher(Watching::GivesUp, "the first error ends it in silence", Kind::Sqlite, Schedule::Away, Rule::W4),
    watcher(Watching::Stale, "shows an old list after an outage", Kind::Sqlite, Schedule::Away, Rule::W3),
    watcher(Watching::FromHead, "resumes at the head of the history", Kind::ConsulKv, Schedule::Away, Rule::W2),
    watcher(Watching::Textual, "compares directories as text", Kind::Sqlite, Schedule::Neighbour, Rule::W5),
    registrar(Registering::NoReregister, "does not register again after a loss", Schedule::CutOff, Rule::R3),
    registrar(Registering::KeyNotChecked, "renews whatever is there", Schedule::Evicted, Rule::R2),
    registrar(Registering::RenewedOnSending, "a renewal counts when it is sent", Schedule::CutOff, Rule::R2),
    registrar(Registering::Steals, "takes a name that somebody has", Schedule::Rival, Rule::U1),
    registrar(Registering::Assumes, "a registration without an answer has happened", Schedule::CutOff, Rule::R1),
    registrar(Registering::Forgets, "registers anew beside its own entry", Schedule::Blip, Rule::R4),
    contender(Locking::BeyondDeadline, "holds a lock beyond its deadline", Rule::L3),
    contender(Locking::Unfenced, "writes to a resource that looks at no token", Rule::L2),
    contender(Locking::LocalToken, "counts its own tokens", Rule::L1),
    member(Parting::KeepsPart, "keeps the part that it had first", Rule::B2),
    member(Parting::KeepsSlot, "keeps a stable index beyond its deadline", Rule::B3),
    member(Parting::OtherEnd, "counts the parts from the other end", Rule::B1),
];

/// What the library's own clients go through besides the schedules and stores of the mutants.
const MORE: &[(Subject, Kind, Schedule)] = &[
    (Subject::Watcher(Watching::Product), ETCD_3_4, Schedule::Away),
    (Subject::Watcher(Watching::Product), ETCD_3_4, Schedule::CatchingUp),
    (Subject::Watcher(Watching::Product), ETCD_3_4, Schedule::Compacted),
    (Subject::Watcher(Watching::Product), ETCD_V2, Schedule::Away),
    (Subject::Watcher(Watching::Product), ETCD_V2, Schedule::Neighbour),
    (Subject::Registrar(Registering::Product), ETCD, Schedule::CutOff),
    (Subject::Registrar(Registering::Product), ETCD, Schedule::Blip),
    (Subject::Registrar(Registering::Product), ETCD, Schedule::Evicted),
    (Subject::Registrar(Registering::Product), ETCD, Schedule::Rival),
    (Subject::Registrar(Registering::Product), ETCD_V2, Schedule::CutOff),
    (Subject::Registrar(Registering::Product), ETCD_V2, Schedule::Evicted),
    (Subject::Contender(Locking::Product), ETCD, Schedule::Frozen),
    (Subject::Member(Parting::Product), ETCD, Schedule::Frozen),
];

/// Clients without a defect, each with a store and a schedule on which nothing may be said against it: on those of every
/// mutant the same client without its defect, which shows that the schedule alone breaks nothing, and the library's own.
pub fn innocents() -> Vec<(Subject, Kind, Schedule)> {
    let mut all: Vec<(Subject, Kind, Schedule)> = Vec::new();
    let of_mutant = |mutant: &Mutant| mutant.subject.innocents().map(|subject| (subject, mutant.on, mutant.schedule));
    for one in MUTANTS.iter().flat_map(of_mutant).chain(MORE.iter().copied()) {
        if !all.contains(&one) {
            all.push(one);
        }
    }
    all
}

const fn watcher(defect: Watching, says: &'static str, on: Kind, schedule: Schedule, rule: Rule) -> Mutant {
    Mutant { subject: Subject::Watcher(defect), says, on, schedule, rule }
}

const fn registrar(defect: Registering, says: &'static str, schedule: Schedule, rule: Rule) -> Mutant {
    Mutant { subject: Subject::Registrar(defect), says, on: Kind::Sqlite, schedule, rule }
}

const fn contender(defect: Locking, says: &'static str, rule: Rule) -> Mutant {
    Mutant { subject: Subject::Contender(defect), says, on: Kind::Sqlite, schedule: Schedule::Frozen, rule }
}

const fn member(defect: Parting, says: &'static str, rule: Rule) -> Mutant {
    Mutant { subject: Subject::Member(defect), says, on: Kind::Sqlite, schedule: Schedule::Frozen, rule }
}

impl Subject {
    /// The same client without its defect, and the library's own.
    fn innocents(self) -> [Self; 2] {
        match self {
            Self::Watcher(_) => [Self::Watcher(Watching::Sound), Self::Watcher(Watching::Product)],
            Self::Registrar(_) => [Self::Registrar(Registering::Sound), Self::Registrar(Registering::Product)],
            Self::Contender(_) => [Self::Contender(Locking::Sound), Self::Contender(Locking::Product)],
            Self::Member(_) => [Self::Member(Parting::Sound), Self::Member(Parting::Product)],
        }
    }

    /// True when it has no defect.
    pub fn is_innocent(self) -> bool {
        self.innocents().contains(&self)
    }
}
