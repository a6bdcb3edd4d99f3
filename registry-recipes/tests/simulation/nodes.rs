//! Nodes of a scheduler, and the states that their leaders write.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use registry_core::{Dir, Index, async_trait};
use registry_recipes::scheduler::{
    Context, Driver, DriverError, Joined, Layout, Options, Record, Scheduler, State, Status,
};
use tokio::time::sleep;

use super::history::Written;
use super::world::World;
use crate::support::millis;

pub(super) fn layout() -> Layout {
    let dir = Dir::new("/sim/nodes").expect("a valid path");
    Layout::new(&dir).expect("a layout").address(dir.key("address").expect("a name"))
}

/// Takes its time. Nobody who was clustered is sent back to the beginning.
#[derive(Debug)]
struct Slow {
    takes: Duration,
    clustered: AtomicBool,
}

#[async_trait]
impl Driver for Slow {
    async fn join(&self, context: &Context) -> Result<Joined, DriverError> {
        let session = &context.node.session;
        assert!(!self.clustered.load(Ordering::Relaxed), "{session} was clustered, and is to join again");
        sleep(self.takes).await;
        Ok(Joined::Anew)
    }

    async fn recover(&self, _: &Context) -> Result<(), DriverError> {
        Ok(())
    }

    async fn rebalance(&self, _: &Context) -> Result<(), DriverError> {
        sleep(self.takes).await;
        self.clustered.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn failover(&self, _: &Context) -> Result<(), DriverError> {
        Ok(())
    }
}

pub(super) struct Node {
    scheduler: Scheduler,
}

impl Node {
    pub(super) async fn start(world: &World, number: u8, leader_ttl: Duration, node_ttl: Duration) -> Self {
        let driver = Slow { takes: millis(u64::from(number) * 150), clustered: AtomicBool::new(false) };
        let options = Options::new().leader_ttl(leader_ttl).node_ttl(node_ttl).retry(millis(50), millis(500));
        let (session, address) = (format!("node-{number}"), format!("10.0.0.{number}"));
        let driver = Arc::new(driver);
        let started = Scheduler::start(world.link(), layout(), &session, &address, driver, options).await;
        Self { scheduler: started.expect("it starts") }
    }

    pub(super) fn status(&self) -> Status {
        self.scheduler.status()
    }

    pub(super) async fn stop(self) {
        self.scheduler.stop(Duration::from_secs(20)).await;
    }
}

/// The states as they were written, by the server's order.
#[derive(Debug, Default)]
pub(super) struct States {
    last: BTreeMap<String, Index>,
    largest: Option<Index>,
}

impl States {
    pub(super) fn take(&mut self, world: &World, written: &Written) {
        let record = Record::read(&written.name, &written.value).expect("a record");
        let token = record.token.expect("every state bears a token");
        let before = self.last.insert(record.session.clone(), token);
        world.say(|| format!("{} is {:?} by {token:#}", record.session, record.desired));
        world.shown.borrow_mut().states += 1;
        let is_late = |largest: Index| token.position() < largest.position();
        if !written.is_new {
            // The server refuses whoever was taken over.
            assert!(!before.is_some_and(is_late), "{} was written with {token:#} after {before:?}", record.session);
        } else if self.largest.is_some_and(is_late) && !world.wild.rough {
            // A first write, which was on its way when the leader lost its office: it was asked for before that.
            let lives = world.lives.borrow();
            let gone = lives.born_at(&world.layout.candidates, token).gone;
            let since = gone.map_or(Duration::ZERO, |gone| written.at.saturating_duration_since(gone.at));
            let bound = 2 * world.wild.slow + millis(20);
            assert!(since <= bound, "{} was created with {token:#}, which ended {since:?} ago", record.session);
        }
        self.largest = self.largest.filter(|largest| !is_after(token, *largest)).or(Some(token));
    }
}

fn is_after(one: Index, other: Index) -> bool {
    one.position() > other.position()
}

/// In the end there is one leader, who has written all states, and every node is clustered.
pub(super) fn are_well(world: &World, nodes: &[Node]) -> Result<(), String> {
    let leading: Vec<_> = nodes.iter().filter_map(|node| node.status().leading).collect();
    let [leader] = leading[..] else { return Err(format!("the leaders are {leading:?}")) };
    if let Some(node) = nodes.iter().find(|node| node.status().state != State::Clustered) {
        return Err(format!("a node is not clustered: {:?}", node.status()));
    }
    let lives = world.lives.borrow();
    let read = |life: &super::history::Life| Record::read(&life.name, &life.value).expect("a record");
    let states: Vec<_> = lives.living(&world.layout.states).into_iter().map(read).collect();
    let is_right = |state: &Record| state.desired == State::Clustered && state.token == Some(leader);
    if states.len() != nodes.len() || !states.iter().all(is_right) {
        return Err(format!("the states of {leader:#} are {states:?}"));
    }
    match states.iter().filter(|state| state.master).count() {
        1 => Ok(()),
        masters => Err(format!("there are {masters} masters: {states:?}")),
    }
}
