//! Nodes, each with a runtime of its own to be killed with, and what a witness sees of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use registry_core::{Change, Dir, Entry, Event, Index, Key, Registry, RegistryExt, Scope, async_trait};
use registry_recipes::scheduler::{
    Context, Driver, DriverError, Joined, Layout, Options, Record, Scheduler, State, Status,
};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::support::Place;

/// Short, for trials that wait for it; longer where the registry keeps nothing so short.
fn leader_ttl(place: &Place) -> Duration {
    place.ttl(Duration::from_secs(3))
}

pub(crate) fn node_ttl(place: &Place) -> Duration {
    place.ttl(Duration::from_secs(5))
}

/// Long enough for anything that should happen, on a machine that is busy with other things.
const SOON: Duration = Duration::from_mins(1);

pub(crate) fn dir() -> Dir {
    Dir::new("/services/couchbase-array").expect("a valid path")
}

pub(crate) fn address_key() -> Key {
    Key::parse("/services/couchbase").expect("a valid path")
}

/// For trials in which nothing may expire: a machine that stands still for some seconds changes nothing.
pub(crate) fn patient(place: &Place) -> Options {
    options(place).node_ttl(Duration::from_secs(30)).leader_ttl(Duration::from_secs(30))
}

pub(crate) fn options(place: &Place) -> Options {
    let (short, long) = (Duration::from_millis(20), Duration::from_millis(200));
    Options::new().node_ttl(node_ttl(place)).leader_ttl(leader_ttl(place)).retry(short, long)
}

pub(crate) fn state_key(session: &str) -> Key {
    Key::parse(&format!("{}/states/{session}", dir())).expect("a valid path")
}

pub(crate) fn announcement_key(session: &str) -> Key {
    Key::parse(&format!("{}/announcements/{session}", dir())).expect("a valid path")
}

/// What drivers were asked to do, by whom, in order.
pub(crate) type Log = Arc<Mutex<Vec<(String, &'static str)>>>;

/// Writes down what it is asked to do; each step may take its time, or fail some times before.
#[derive(Clone, Default)]
pub(crate) struct Recorder {
    pub(crate) log: Log,
    pub(crate) rebalance_takes: Duration,
    pub(crate) failover_takes: Duration,
    /// Whether joining finds the node to be a member already.
    pub(crate) is_member: bool,
    /// How many joins fail first.
    pub(crate) failures: Arc<Mutex<usize>>,
}

impl Recorder {
    fn write(&self, context: &Context, what: &'static str) {
        let line = (context.node.session.clone(), what);
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// What this node was asked to do.
    pub(crate) fn of(&self, session: &str) -> Vec<&'static str> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter().filter(|(who, _)| who == session).map(|(_, what)| *what).collect()
    }
}

#[async_trait]
impl Driver for Recorder {
    async fn join(&self, context: &Context) -> Result<Joined, DriverError> {
        self.write(context, "join");
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if *failures > 0 {
            *failures -= 1;
            return Err(DriverError::new("not today"));
        }
        Ok(if self.is_member { Joined::Already } else { Joined::Anew })
    }

    async fn recover(&self, context: &Context) -> Result<(), DriverError> {
        self.write(context, "recover");
        Ok(())
    }

    async fn rebalance(&self, context: &Context) -> Result<(), DriverError> {
        self.write(context, "rebalance");
        sleep(self.rebalance_takes).await;
        Ok(())
    }

    async fn failover(&self, context: &Context) -> Result<(), DriverError> {
        self.write(context, "failover");
        sleep(self.failover_takes).await;
        self.write(context, "failed over");
        Ok(())
    }
}

/// One node, as a process of its own would be.
pub(crate) struct Node {
    pub(crate) session: String,
    pub(crate) status: watch::Receiver<Status>,
    runtime: Option<Runtime>,
    scheduler: Option<Scheduler>,
}

impl Node {
    pub(crate) async fn start(place: &Place, session: &str, driver: &Recorder) -> Self {
        let address = format!("10.0.0.{}", session.len());
        Self::start_at(place, session, &address, driver, options(place), |registry| registry).await
    }

    /// With something in between the node and the registry.
    pub(crate) async fn start_at(
        place: &Place,
        session: &str,
        address: &str,
        driver: &Recorder,
        options: Options,
        between: impl FnOnce(Arc<dyn Registry>) -> Arc<dyn Registry>,
    ) -> Self {
        let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = threads.expect("a runtime");
        // The embedded store starts tasks when it is opened: they belong to the node.
        let registry = {
            let _inside = runtime.enter();
            between(place.connect())
        };
        let (name, address, driver) = (session.to_owned(), address.to_owned(), Arc::new(driver.clone()));
        let layout = Layout::new(&dir()).expect("a layout").address(address_key());
        let starting =
            runtime.spawn(async move { Scheduler::start(registry, layout, &name, &address, driver, options).await });
        let scheduler = starting.await.expect("no panic").expect("it starts");
        let status = scheduler.watch();
        Self { session: session.into(), status, runtime: Some(runtime), scheduler: Some(scheduler) }
    }

    pub(crate) fn leads(&self) -> Option<Index> {
        self.status.borrow().leading
    }

    pub(crate) fn is_clustered(&self) -> bool {
        self.status.borrow().state == State::Clustered
    }

    /// As SIGKILL does: nothing is said to anybody.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        self.scheduler = None;
    }

    /// Stops it, and returns how long that took.
    pub(crate) async fn stop(mut self, limit: Duration) -> Duration {
        let begun = Instant::now();
        let scheduler = self.scheduler.take().expect("it runs");
        let runtime = self.runtime.as_ref().expect("it runs");
        runtime.spawn(scheduler.stop(limit)).await.expect("no panic");
        begun.elapsed()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.end();
    }
}

/// All that was ever written below `states`, as another client sees it.
pub(crate) struct Witness {
    registry: Arc<dyn Registry>,
    puts: Arc<Mutex<Vec<Record>>>,
    gone: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

/// What was put, and the names that are gone. What shows states tells a name that was taken over as gone and put at once.
fn told_apart(changes: Vec<Change>) -> (Vec<Entry>, Vec<String>) {
    let (mut put, mut removed): (Vec<Entry>, Vec<String>) = (Vec::new(), Vec::new());
    for change in changes {
        match change {
            Change::Put(entry) => {
                removed.retain(|name| name != entry.name.as_str());
                put.push(entry);
            }
            Change::Remove { name, .. } => removed.push(name.to_string()),
        }
    }
    (put, removed)
}

impl Witness {
    pub(crate) async fn of(place: &Place) -> Self {
        let registry = place.connect();
        let (puts, gone) = (Arc::<Mutex<Vec<Record>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (seen, vanished) = (Arc::clone(&puts), Arc::clone(&gone));
        let mut events = registry.subscribe(Dir::new(&format!("{}/states", dir())).expect("a valid path"));
        let first = events.next().await;
        assert!(matches!(first, Some(Ok(Event::Snapshot { .. }))), "{first:?}");
        let task = tokio::spawn(async move {
            while let Some(Ok(event)) = events.next().await {
                let entries: Vec<_> = match event {
                    Event::Snapshot { snapshot, .. } => snapshot.entries,
                    Event::Changes(batch) => {
                        let (put, removed) = told_apart(batch.changes);
                        vanished.lock().unwrap_or_else(PoisonError::into_inner).extend(removed);
                        put
                    }
                    _ => continue,
                };
                let records = entries.iter().filter_map(|entry| Record::read(&entry.name, &entry.value).ok());
                seen.lock().unwrap_or_else(PoisonError::into_inner).extend(records);
            }
        });
        Self { registry, puts, gone, task }
    }

    pub(crate) async fn states(&self) -> BTreeMap<String, Record> {
        self.read("states").await
    }

    pub(crate) async fn announcements(&self) -> BTreeMap<String, Record> {
        self.read("announcements").await
    }

    async fn read(&self, what: &str) -> BTreeMap<String, Record> {
        let scope = Scope::from(Dir::new(&format!("{}/{what}", dir())).expect("a valid path"));
        let entries = self.registry.list(&scope).await.expect("listed").entries;
        let records = entries.iter().map(|entry| Record::read(&entry.name, &entry.value).expect("a record"));
        records.map(|record| (record.session.clone(), record)).collect()
    }

    pub(crate) async fn value(&self, key: &Key) -> Option<String> {
        let entries = self.registry.list(&Scope::from(key)).await.expect("listed").entries;
        entries.first().map(|entry| String::from_utf8_lossy(&entry.value).into_owned())
    }

    /// Since when an announcement stands.
    pub(crate) async fn since(&self, session: &str) -> Option<Index> {
        let scope = Scope::from(announcement_key(session));
        self.registry.list(&scope).await.expect("listed").entries.first().map(|entry| entry.index)
    }

    /// Waits until these nodes, and no others, are clustered, with one master.
    pub(crate) async fn until_clustered(&self, sessions: &[&str]) {
        until("all are clustered", async || {
            let states = self.states().await;
            let names: Vec<_> = states.keys().map(String::as_str).collect();
            let all = |state: &Record| (state.state, state.desired) == (State::Clustered, State::Clustered);
            names == sessions && states.values().all(all) && states.values().filter(|it| it.master).count() == 1
        })
        .await;
    }

    pub(crate) fn history(&self) -> Vec<Record> {
        self.puts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The history, once it holds what stands now.
    pub(crate) async fn settled(&self) -> Vec<Record> {
        until("the watch has told of everything", async || {
            let history = self.history();
            self.states().await.values().all(|state| history.contains(state))
        })
        .await;
        self.history()
    }

    /// Whose states were removed, or expired, in order.
    pub(crate) fn gone(&self) -> Vec<String> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The rules that hold in every history: leaders write one after the other, and who was clustered stays it.
    pub(crate) fn check(&self) {
        let mut last = 0;
        let mut clustered = Vec::new();
        for record in self.history() {
            let token = record.token.expect("every state of ours bears a token").position();
            assert!(token >= last, "{token} wrote after {last}: {:#?}", self.history());
            last = token;
            match record.state {
                State::Clustered => clustered.push(record.session),
                _ => {
                    assert!(
                        !clustered.contains(&record.session),
                        "{} was reset: {:#?}",
                        record.session,
                        self.history()
                    );
                }
            }
        }
        assert!(last > 0, "nothing was seen");
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits until it is so.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < SOON, "not within {SOON:?}: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// The node that leads, once there is one.
pub(crate) async fn leader(nodes: &[Node]) -> usize {
    until("somebody leads", async || nodes.iter().any(|node| node.leads().is_some())).await;
    nodes.iter().position(|node| node.leads().is_some()).expect("it leads still")
}

/// Three nodes, driven to the end.
pub(crate) async fn three(place: &Place, driver: &Recorder, witness: &Witness) -> Vec<Node> {
    let mut nodes = Vec::new();
    for session in ["a", "bb", "ccc"] {
        nodes.push(Node::start(place, session, driver).await);
    }
    witness.until_clustered(&["a", "bb", "ccc"]).await;
    until("the nodes know it", async || nodes.iter().all(Node::is_clustered)).await;
    nodes
}
