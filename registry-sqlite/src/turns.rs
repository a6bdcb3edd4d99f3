//! Who waits for the store, in turn.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::backend::Shared;

type Call = Box<dyn FnOnce(&Shared) + Send>;

/// The calls that nobody has made yet. One thread that may block makes them all, one after the other, and goes when there are
/// no more: a thousand callers cost one thread, and who comes while it works wakes nobody.
#[derive(Default)]
pub(crate) struct Turns(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    calls: VecDeque<Call>,
    /// True while a thread makes them, or is about to.
    served: bool,
}

impl Turns {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn. True when nobody makes the calls: then the caller must see to it.
    fn add(&self, call: Call) -> bool {
        let mut queue = self.queue();
        queue.calls.push_back(call);
        !std::mem::replace(&mut queue.served, true)
    }

    /// The next call. When there is none, nobody makes them any more.
    fn next(&self) -> Option<Call> {
        let mut queue = self.queue();
        let next = queue.calls.pop_front();
        queue.served = next.is_some();
        next
    }
}

/// Adds a call, and a thread if there is none.
pub(crate) fn call(shared: &Arc<Shared>, call: Call) {
    if shared.turns.add(call) {
        let server = Server { shared: Arc::clone(shared), begun: false };
        tokio::task::spawn_blocking(move || server.serve());
    }
}

struct Server {
    shared: Arc<Shared>,
    begun: bool,
}

impl Server {
    fn serve(mut self) {
        self.begun = true;
        while let Some(call) = self.shared.turns.next() {
            // A panic is that caller's: he hears that his answer will not come.
            let _ = catch_unwind(AssertUnwindSafe(|| call(&self.shared)));
        }
    }
}

/// A runtime that is shut down drops what has not begun. Who waits hears so, and the next caller brings another thread.
impl Drop for Server {
    fn drop(&mut self) {
        if !self.begun {
            let left = {
                let mut queue = self.shared.turns.queue();
                queue.served = false;
                std::mem::take(&mut queue.calls)
            };
            drop(left);
        }
    }
}
