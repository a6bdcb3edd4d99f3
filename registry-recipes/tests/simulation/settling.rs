//! After the last fault: everybody has what he should have, soon, and nobody else.

use std::time::Duration;

use registry_core::{Dir, Index};
use registry_recipes::partition::Share;
use tokio::time::Instant;

use super::chaos::everything;
use super::nodes::{Node, are_well};
use super::world::World;
use crate::support::{pass, seconds};

/// The TTL of what somebody left (15 s), a call or a watch that hangs (30 s), and waits between attempts.
const SETTLED: Duration = seconds(75);

/// What is to be there in the end.
pub(super) struct Wanted {
    /// How many hold what is contended for in each directory.
    pub(super) holders: Vec<(Dir, usize)>,
    /// Elections that somebody follows.
    pub(super) followed: Vec<Dir>,
    pub(super) joined: Vec<String>,
    pub(super) claimed: Vec<String>,
}

/// Waits until all is well; returns how long that took.
pub(super) async fn settle(world: &World, wanted: &Wanted, nodes: &[Node]) -> Duration {
    let begun = Instant::now();
    wait_for(begun, SETTLED, || is_well(world, wanted, nodes)).await;
    let settled = begun.elapsed();
    world.say(|| format!("settled after {settled:?}"));
    // Not by chance: renewals later as well.
    pass(seconds(12)).await;
    wait_for(begun, SETTLED + seconds(15), || is_well(world, wanted, nodes)).await;
    settled
}

async fn wait_for(begun: Instant, bound: Duration, mut done: impl FnMut() -> Result<(), String>) {
    while let Err(why) = done() {
        assert!(begun.elapsed() <= bound, "after {bound:?}: {why}");
        pass(Duration::from_millis(100)).await;
    }
}

fn is_well(world: &World, wanted: &Wanted, nodes: &[Node]) -> Result<(), String> {
    world.update();
    for (dir, count) in &wanted.holders {
        let holders: Vec<_> = world.holders.borrow().values().filter(|(held, _)| held == dir).cloned().collect();
        let tokens: Vec<_> = holders.iter().map(|(_, token)| token.position()).collect();
        let lives = world.lives.borrow();
        let first: Vec<_> = lives.living(dir).into_iter().take(*count).map(|life| life.born).collect();
        if tokens.len() != *count || !first.iter().all(|born| tokens.contains(born)) {
            return Err(format!("{dir} is held by {tokens:?}, and the first are {first:?}"));
        }
    }
    for dir in &wanted.followed {
        let lives = world.lives.borrow();
        let first = lives.living(dir).first().map(|life| life.born);
        let known = world.leaders.borrow().get(&dir.to_string()).copied().flatten().map(Index::position);
        if known != first {
            return Err(format!("{dir} is led by {first:?}, and {known:?} is known"));
        }
    }
    let whole = parts(world, &wanted.joined)?;
    let total: u64 = whole.iter().map(|share| share.workers).sum();
    if whole.iter().any(|share| share.total != total) {
        return Err(format!("there is a hole: {whole:?}"));
    }
    parts(world, &wanted.claimed)?;
    if nodes.is_empty() { Ok(()) } else { are_well(world, nodes) }
}

/// The parts of these members, in order; each has one, and none overlaps another.
fn parts(world: &World, members: &[String]) -> Result<Vec<Share>, String> {
    let parts = world.parts.borrow();
    let part = |who: &String| parts.get(who).copied().ok_or_else(|| format!("{who} has no part"));
    let mut shares = members.iter().map(part).collect::<Result<Vec<_>, _>>()?;
    shares.sort_by_key(|share| share.base);
    match shares.windows(2).find(|pair| pair[0].range().end > pair[1].range().start) {
        Some(pair) => Err(format!("{pair:?} overlap")),
        None => Ok(shares),
    }
}

/// When everybody has gone, nothing is left of anybody.
pub(super) async fn nothing_is_left(world: &World) {
    let begun = Instant::now();
    wait_for(begun, seconds(30), || {
        let left = world.fake.change(|core| core.oracle.list(&everything().into())).entries;
        if left.is_empty() { Ok(()) } else { Err(format!("left behind: {left:?}")) }
    })
    .await;
}
