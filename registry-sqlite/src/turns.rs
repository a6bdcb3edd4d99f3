//! Who waits for the store, in turn.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use registry_core::{Error, Result};

use crate::backend::Shared;
use crate::store::Store;

/// So many changes go together at most: as long as that, nobody else can write.
const ROUND: usize = 64;

/// What somebody wants to be done.
pub(crate) struct Call {
    pub(crate) writes: bool,
    pub(crate) work: Work,
}

/// Does it, or hears why there is no store to do it with.
pub(crate) type Work = Box<dyn FnOnce(Result<&mut Store>) -> Answer + Send>;

/// Tells the caller what came of it, once that is certain, or why it came to nothing after all.
pub(crate) type Answer = Box<dyn FnOnce(Result<()>) + Send>;

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

    /// The next call, and after a change those changes that follow it directly. When there is none, nobody makes them any more.
    fn next(&self) -> Vec<Work> {
        let mut queue = self.queue();
        let next: Vec<_> = queue.calls.pop_front().into_iter().collect();
        queue.served = !next.is_empty();
        let mut last = next.last().is_some_and(|call| call.writes);
        let mut round: Vec<_> = next.into_iter().map(|call| call.work).collect();
        while last && round.len() < ROUND {
            let follower = queue.calls.pop_front_if(|call| call.writes);
            last = follower.is_some();
            round.extend(follower.map(|call| call.work));
        }
        round
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
        loop {
            let round = self.shared.turns.next();
            if round.is_empty() {
                return;
            }
            // A panic in here is nobody's: those who wait hear that their answers will not come.
            let _ = catch_unwind(AssertUnwindSafe(|| self.shared.with_store(|store| make(store, round))));
        }
    }
}

/// Makes one call, or several changes that go together.
fn make(store: Result<&mut Store>, round: Vec<Work>) {
    let store = match store {
        Ok(store) => store,
        Err(error) => return refuse(round, &error),
    };
    if round.len() == 1 {
        return round.into_iter().for_each(|work| alone(store, work));
    }
    if let Err(error) = store.begin_together() {
        return refuse(round, &error);
    }
    let mut answers = Vec::with_capacity(round.len());
    let mut rest = round.into_iter();
    while store.is_together()
        && let Some(work) = rest.next()
    {
        answers.extend(done(store, work));
    }
    let ended = store.end_together();
    for answer in answers {
        answer(ended.clone());
    }
    // What was not tried, for the others were undone, harms nobody and is harmed by nobody.
    for work in rest {
        alone(store, work);
    }
}

fn alone(store: &mut Store, work: Work) {
    if let Some(answer) = done(store, work) {
        answer(Ok(()));
    }
}

/// A panic is that caller's: he hears that his answer will not come.
fn done(store: &mut Store, work: Work) -> Option<Answer> {
    catch_unwind(AssertUnwindSafe(|| work(Ok(store)))).ok()
}

fn refuse(round: impl IntoIterator<Item = Work>, error: &Error) {
    for work in round {
        work(Err(error.clone()))(Ok(()));
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use registry_core::{Bytes, Dir, ErrorKind, RegisterOptions};

    use super::*;
    use crate::config::Config;

    /// Registers this name, panics for none, and says what its caller hears.
    fn work(name: &'static str, told: &mpsc::Sender<(&'static str, Result<()>)>) -> Work {
        let told = told.clone();
        Box::new(move |store| {
            let result = store.and_then(|store| {
                assert!(!name.is_empty(), "a fault of this program");
                let key = Dir::new("/a").unwrap().key(name).unwrap();
                store.register(&key, &Bytes::new(), &RegisterOptions::new(), std::time::Duration::from_hours(1))
            });
            Box::new(move |certain| told.send((name, result.and(certain))).unwrap())
        })
    }

    #[test]
    fn a_round_is_of_changes_that_follow_each_other() {
        let turns = Turns::default();
        let (told, _heard) = mpsc::channel();
        for writes in [false, true, true, false, false, true] {
            turns.add(Call { writes, work: work("a", &told) });
        }
        let rounds: Vec<_> = std::iter::repeat_with(|| turns.next().len()).take_while(|count| *count > 0).collect();
        assert_eq!(rounds, [1, 2, 1, 1, 1]);
        for _ in 0..=ROUND {
            turns.add(Call { writes: true, work: work("a", &told) });
        }
        assert_eq!([turns.next().len(), turns.next().len(), turns.next().len()], [ROUND, 1, 0]);
    }

    #[test]
    fn a_panic_is_its_own_callers_and_the_others_are_written() {
        let place = tempfile::tempdir().unwrap();
        let mut store = Store::open(&Config::new(place.path().join("registry.db"))).unwrap();
        let (told, heard) = mpsc::channel();
        make(Ok(&mut store), ["a", "", "b"].map(|name| work(name, &told)).into());
        drop(told);
        let heard: Vec<_> = heard.iter().map(|(name, result)| (name, result.is_ok())).collect();
        assert_eq!(heard, [("a", true), ("b", true)]);
        assert_eq!(store.list(&Dir::new("/a").unwrap().into()).unwrap().entries.len(), 2);
    }

    #[test]
    fn without_a_store_everybody_hears_why() {
        let (told, heard) = mpsc::channel();
        make(Err(Error::new(ErrorKind::PermissionDenied, "no")), ["a", "b"].map(|name| work(name, &told)).into());
        drop(told);
        let kinds: Vec<_> = heard.iter().map(|(_, result)| result.unwrap_err().kind()).collect();
        assert_eq!(kinds, [ErrorKind::PermissionDenied; 2]);
    }
}
