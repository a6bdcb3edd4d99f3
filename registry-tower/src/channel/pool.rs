//! The members of a channel, and which of them are connected.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use registry::{Name, printable};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::connection::Connection;

/// How many members a message names.
const NAMED: usize = 3;

/// A member that requests may go to, if it is connected.
pub(super) struct Member {
    name: Name,
    address: String,
    /// Why it is not connected, when it is not.
    problem: Mutex<String>,
}

impl Member {
    pub(super) fn new(name: Name, address: String) -> Arc<Self> {
        Arc::new(Self { name, address, problem: Mutex::new("not connected yet".to_owned()) })
    }

    pub(super) fn set_problem(&self, problem: String) {
        *lock(&self.problem) = problem;
    }

    /// Its name and address.
    pub(super) fn title(&self) -> String {
        format!("{} at {}", printable(self.name.as_str()), self.address)
    }
}

/// All members, and the connections that are ready.
#[derive(Default)]
pub(super) struct Pool {
    members: Mutex<BTreeMap<Name, Arc<Member>>>,
    ready: watch::Sender<Vec<Arc<Connection>>>,
}

impl Pool {
    pub(super) fn insert(&self, member: &Arc<Member>) {
        let former = lock(&self.members).insert(member.name.clone(), Arc::clone(member));
        if let Some(former) = former {
            self.disconnect(&former);
        }
    }

    pub(super) fn remove(&self, name: &Name) {
        let former = lock(&self.members).remove(name);
        if let Some(former) = former {
            self.disconnect(&former);
        }
    }

    /// From here on requests may be sent on this connection, unless its member is gone.
    pub(super) fn add(&self, connection: &Arc<Connection>) {
        let members = lock(&self.members);
        if members.get(&connection.member.name).is_some_and(|member| Arc::ptr_eq(member, &connection.member)) {
            self.ready.send_modify(|ready| ready.push(Arc::clone(connection)));
        }
    }

    /// From here on no more requests are sent to this member; those that were are not disturbed.
    pub(super) fn disconnect(&self, member: &Arc<Member>) {
        self.ready.send_if_modified(|ready| {
            let before = ready.len();
            ready.retain(|connection| !Arc::ptr_eq(&connection.member, member));
            ready.len() < before
        });
    }

    /// A connection for a request: of two that are chosen at random, the one with fewer requests; not `avoided` if there is
    /// another. Waits for one until `limit`; `None` when there was none.
    pub(super) async fn pick(&self, avoided: Option<&Arc<Connection>>, limit: Instant) -> Option<Arc<Connection>> {
        if let Some(connection) = self.choose(avoided) {
            return Some(connection);
        }
        let mut ready = self.ready.subscribe();
        loop {
            // The sender is in `self`, so only the time can run out.
            timeout_at(limit, ready.wait_for(|ready| !ready.is_empty())).await.ok()?.ok()?;
            if let Some(connection) = self.choose(avoided) {
                return Some(connection);
            }
        }
    }

    fn choose(&self, avoided: Option<&Arc<Connection>>) -> Option<Arc<Connection>> {
        loop {
            let chosen = choose(&self.ready.borrow(), avoided)?;
            if chosen.usable() {
                return Some(chosen);
            }
            self.ready.send_modify(|ready| ready.retain(|connection| !Arc::ptr_eq(connection, &chosen)));
        }
    }

    /// Why no member can take a request; `None` when there are no members.
    pub(super) fn problems(&self) -> Option<String> {
        let members = lock(&self.members);
        let mut problems: Vec<_> = members
            .values()
            .take(NAMED)
            .map(|member| format!("{}: {}", member.title(), lock(&member.problem)))
            .collect();
        let more = members.len().saturating_sub(NAMED);
        if more > 0 {
            problems.push(format!("and {more} more"));
        }
        (!problems.is_empty()).then(|| problems.join("; "))
    }
}

fn choose(ready: &[Arc<Connection>], avoided: Option<&Arc<Connection>>) -> Option<Arc<Connection>> {
    let (one, other) = match ready {
        [] => return None,
        [only] => (only, only),
        _ => {
            let one = fastrand::usize(..ready.len());
            let other = (one + fastrand::usize(1..ready.len())) % ready.len();
            (&ready[one], &ready[other])
        }
    };
    let avoid_one = avoided.is_some_and(|avoided| Arc::ptr_eq(one, avoided));
    let avoid_other = avoided.is_some_and(|avoided| Arc::ptr_eq(other, avoided));
    let chosen = if !avoid_one && (avoid_other || one.load() <= other.load()) { one } else { other };
    Some(Arc::clone(chosen))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
