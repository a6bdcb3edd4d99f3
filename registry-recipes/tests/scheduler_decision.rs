//! What the scheduler decides, for any announcements and states, and for any order in which nodes follow it.

use std::collections::BTreeMap;

use proptest::prelude::*;
use registry_core::Index;
use registry_recipes::scheduler::{Action, Announcement, Announcements, Record, State, States, decide};

/// Fewer addresses than sessions, so that runs of one node follow each other.
const SESSIONS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const ADDRESSES: [&str; 4] = ["10.0.0.1", "10.0.0.11", "10.0.0.111", "10.0.0.1:8091"];

fn state() -> impl Strategy<Value = State> {
    prop_oneof![Just(State::Unknown), Just(State::New), Just(State::Clustered), Just(State::Other)]
}

fn record(session: &'static str) -> impl Strategy<Value = Record> {
    (0..ADDRESSES.len(), any::<bool>(), state(), state()).prop_map(move |(address, master, state, desired)| Record {
        master,
        state,
        desired,
        ..Record::new(session, ADDRESSES[address])
    })
}

fn announcements() -> impl Strategy<Value = Announcements> {
    let one = |session| proptest::option::of((record(session), 1..1000_u64));
    SESSIONS.map(one).prop_map(|all| {
        let there = all.into_iter().flatten();
        there
            .map(|(record, since)| (record.session.clone(), Announcement { record, since: Index::new(1, since) }))
            .collect()
    })
}

fn states() -> impl Strategy<Value = States> {
    SESSIONS
        .map(|session| proptest::option::of(record(session)))
        .prop_map(|all| all.into_iter().flatten().map(|record| (record.session.clone(), record)).collect())
}

fn apply(states: &mut States, action: Action) {
    match action {
        Action::Put(record) => {
            states.insert(record.session.clone(), record);
        }
        Action::Delete { session } => {
            states.remove(&session);
        }
    }
}

/// Those whose address nobody announced later.
fn expected_nodes(announcements: &Announcements) -> Vec<&str> {
    let outlived = |this: &Announcement| {
        announcements.values().any(|other| {
            other.record.address == this.record.address
                && (other.since.position(), std::cmp::Reverse(&other.record.session))
                    > (this.since.position(), std::cmp::Reverse(&this.record.session))
        })
    };
    announcements.iter().filter(|(_, it)| !outlived(it)).map(|(session, _)| &**session).collect()
}

/// A node that does what it is told, one step at a time.
fn follow(announced: &mut State, told: State) {
    if matches!(told, State::New | State::Clustered) && !(told == State::Clustered && *announced == State::Unknown) {
        *announced = told;
    }
}

/// What happens next in a history.
#[derive(Clone, Debug)]
enum Step {
    /// The leader applies this many of its decisions, and dies then.
    Lead(usize),
    /// A node does what it is told.
    Follow(usize),
    /// A node is started anew.
    Restart(usize),
    /// The registry loses a state.
    Lose(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let node = 0..SESSIONS.len();
    prop_oneof![
        4 => (0..8_usize).prop_map(Step::Lead),
        6 => node.clone().prop_map(Step::Follow),
        1 => node.clone().prop_map(Step::Restart),
        1 => node.prop_map(Step::Lose),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn a_clustered_node_is_never_reset(announcements in announcements(), states in states()) {
        for action in decide(&announcements, &states) {
            if let Action::Put(record) = action && announcements[&record.session].record.state == State::Clustered {
                prop_assert_eq!((record.state, record.desired), (State::Clustered, State::Clustered));
            }
        }
    }

    #[test]
    fn only_what_is_gone_is_deleted(announcements in announcements(), states in states()) {
        let nodes = expected_nodes(&announcements);
        let deleted: Vec<_> = decide(&announcements, &states).into_iter().filter_map(|action| match action {
            Action::Delete { session } => Some(session),
            Action::Put(_) => None,
        }).collect();
        let gone: Vec<_> = states.keys().filter(|session| !nodes.contains(&session.as_str())).cloned().collect();
        prop_assert_eq!(deleted, gone);
    }

    #[test]
    fn every_node_has_a_state_and_one_is_the_master(announcements in announcements(), mut states in states()) {
        let before = states.clone();
        for action in decide(&announcements, &states) {
            apply(&mut states, action);
        }
        let nodes = expected_nodes(&announcements);
        prop_assert_eq!(states.keys().map(String::as_str).collect::<Vec<_>>(), nodes.clone());
        let masters: Vec<_> = states.values().filter(|state| state.master).collect();
        prop_assert_eq!(masters.len(), usize::from(!nodes.is_empty()));
        let clustered = |session: &str| announcements[session].record.state == State::Clustered;
        for master in masters {
            let others: Vec<_> = nodes.iter().copied().filter(|&session| session != master.session).collect();
            let any_clustered = nodes.iter().any(|session| clustered(session));
            prop_assert_eq!(clustered(&master.session), any_clustered, "a clustered one goes first");
            let was = |session: &str| before.get(session).is_some_and(|state| state.master);
            for other in others.iter().filter(|session| clustered(session) == any_clustered) {
                prop_assert!(was(&master.session) || !was(other), "it wanders from {} to {}", other, master.session);
                if was(&master.session) == was(other) {
                    prop_assert!(announcements[&master.session].since.position() <= announcements[*other].since.position());
                }
            }
        }
    }

    #[test]
    fn what_was_decided_is_decided_the_same_way_again(announcements in announcements(), states in states()) {
        // Nobody moves, so three rounds settle it, and then nothing is written any more.
        let mut now = states;
        for _ in 0..3 {
            for action in decide(&announcements, &now) {
                apply(&mut now, action);
            }
        }
        prop_assert_eq!(decide(&announcements, &now), vec![]);
        for (session, state) in &now {
            let announced = announcements[session].record.state;
            let wanted = match announced {
                State::Clustered => (State::Clustered, State::Clustered),
                State::New => (State::New, State::Clustered),
                _ => (State::New, State::New),
            };
            prop_assert_eq!((state.state, state.desired), wanted);
        }
    }

    /// Leaders that die half-way, nodes in any order, restarts and lost states: in the end everybody is clustered, and
    /// whoever was clustered did not have to begin anew for any reason but its own restart.
    #[test]
    fn everybody_gets_there(steps in proptest::collection::vec(step(), 0..120), count in 1..=SESSIONS.len()) {
        let mut announced: BTreeMap<usize, State> = (0..count).map(|node| (node, State::Unknown)).collect();
        let view = |announced: &BTreeMap<usize, State>| -> Announcements {
            announced.iter().map(|(&node, &state)| {
                let session = SESSIONS[node];
                let record = Record { state, ..Record::new(session, format!("10.0.0.{node}")) };
                (session.to_owned(), Announcement { record, since: Index::new(1, node as u64 + 1) })
            }).collect()
        };
        let mut states = States::new();
        let to_the_end = (0..6).flat_map(|_| {
            std::iter::once(Step::Lead(99)).chain((0..SESSIONS.len()).map(Step::Follow))
        });
        for step in steps.into_iter().chain(to_the_end).chain([Step::Lead(99)]) {
            match step {
                Step::Lead(most) => {
                    let actions = decide(&view(&announced), &states);
                    actions.into_iter().take(most).for_each(|action| apply(&mut states, action));
                }
                Step::Follow(node) => {
                    if let (Some(state), Some(told)) = (announced.get_mut(&node), states.get(SESSIONS[node])) {
                        let before = *state;
                        follow(state, told.desired);
                        // A state from before the restart may be read in its last moment; a lost one never says `new`.
                        prop_assert!(before != State::Clustered || *state == State::Clustered, "{} was reset", SESSIONS[node]);
                    }
                }
                Step::Restart(node) => {
                    announced.entry(node).and_modify(|state| *state = State::Unknown);
                }
                Step::Lose(node) => {
                    states.remove(SESSIONS[node]);
                }
            }
        }
        prop_assert_eq!(decide(&view(&announced), &states), vec![]);
        prop_assert!(announced.values().all(|&state| state == State::Clustered), "{:?}", announced);
        prop_assert_eq!(states.values().filter(|state| state.master).count(), 1);
    }
}

#[test]
fn addresses_match_exactly() {
    let announce = |session: &str, address: &str, since| {
        let record = Record { state: State::Clustered, ..Record::new(session, address) };
        (session.to_owned(), Announcement { record, since: Index::new(1, since) })
    };
    // The original took 10.0.0.1 for 10.0.0.11.
    let announcements = Announcements::from([announce("x", "10.0.0.11", 1), announce("y", "10.0.0.1", 2)]);
    assert_eq!(decide(&announcements, &States::new()).len(), 2);
    let announcements = Announcements::from([announce("x", "10.0.0.1", 1), announce("y", "10.0.0.1", 2)]);
    let [Action::Put(only)] = &decide(&announcements, &States::new())[..] else { panic!("one node, started twice") };
    assert_eq!((&*only.session, only.master), ("y", true));
}
