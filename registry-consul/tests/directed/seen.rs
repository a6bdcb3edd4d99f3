//! What subscribers see while servers come and go.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use registry_core::{Change, Dir, Event, Registry, RegistryExt, Subscription};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// How long it may take until everything goes on: two elections, sessions that linger, and a busy machine.
pub(crate) const MENDED: Duration = Duration::from_secs(100);
/// A subscription whose events are kept, and which never may be without one name.
pub(crate) struct Seen {
    names: Arc<Mutex<Vec<String>>>,
    vanished: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Seen {
    pub(crate) async fn follow(registry: &Arc<dyn Registry>, always: &'static str) -> Self {
        let mut subscription = registry.subscribe(Dir::new("/a/web").expect("valid"));
        let it = Self { names: Arc::default(), vanished: Arc::default(), task: tokio::spawn(async {}) };
        let (names, vanished) = (Arc::clone(&it.names), Arc::clone(&it.vanished));
        let task = tokio::spawn(async move {
            while let Some(event) = next(&mut subscription).await {
                let mut names = lock(&names);
                let shown = format!("{event:?}");
                apply(&mut names, event);
                if !names.iter().any(|name| name == always) {
                    lock(&vanished).push(shown);
                }
            }
        });
        let it = Self { task, ..it };
        it.until(always).await;
        it
    }

    fn names(&self) -> Vec<String> {
        lock(&self.names).clone()
    }

    pub(crate) async fn until(&self, name: &str) {
        let begun = Instant::now();
        while !self.names().iter().any(|there| there == name) {
            assert!(begun.elapsed() < MENDED, "{name} is not seen, only {:?}", self.names());
            assert!(!self.task.is_finished(), "the subscription ended");
            sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) fn end(self) {
        self.task.abort();
        assert_eq!(*lock(&self.vanished), [""; 0], "it vanished, and never did");
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The next event that tells of members.
async fn next(subscription: &mut Subscription) -> Option<Event> {
    loop {
        match subscription.next().await?.expect("no permanent error") {
            Event::Interrupted { .. } | Event::Resumed { .. } => {}
            event => return Some(event),
        }
    }
}

/// In one batch a replaced entry is gone and new: it did not vanish in between.
fn apply(names: &mut Vec<String>, event: Event) {
    match event {
        Event::Snapshot { snapshot, .. } => {
            *names = snapshot.entries.iter().map(|entry| entry.name.to_string()).collect();
        }
        Event::Changes(batch) => {
            for change in &batch.changes {
                names.retain(|name| name != change.name().as_str());
                if let Change::Put(entry) = change {
                    names.push(entry.name.to_string());
                }
            }
        }
        Event::Interrupted { .. } | Event::Resumed { .. } => {}
    }
}
