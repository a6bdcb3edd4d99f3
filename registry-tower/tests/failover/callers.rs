//! Callers that send requests, and the outcome of each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use registry::{Catalogue, Codec, Dir, Instance, Json, RegisterOptions, Registration, Registry, RegistryExt};
use registry_tower::Channel;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tonic::Status;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::server::{NUMBER, Server, TAKES, WHO};

/// How long something may take on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A registry in which entries stay, whatever happens to their servers.
pub(crate) struct Site {
    registry: Arc<dyn Registry>,
    pub(crate) dir: Dir,
    _directory: TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite://{}/registry.db", directory.path().display());
        let registry = registry::connect(&url).expect("a store");
        Self { registry, dir: Dir::new("/clusters/greeter").expect("a directory"), _directory: directory }
    }

    pub(crate) async fn register(&self, name: &str, port: u16) -> Registration {
        self.register_at(name, "127.0.0.1", port).await
    }

    pub(crate) async fn register_at(&self, name: &str, host: &str, port: u16) -> Registration {
        let key = self.dir.key(name).expect("a key");
        let value = Json.encode(&key.name(), &Instance::new(host, port).expect("an instance")).expect("a value");
        let options = RegisterOptions::new().ttl(Duration::from_hours(1));
        self.registry.announce(key, value, options).await.expect("registered")
    }

    pub(crate) async fn start(&self, name: &str) -> (Server, Registration) {
        let server = Server::start(name);
        let registration = self.register(name, server.port).await;
        (server, registration)
    }

    pub(crate) fn channel(&self) -> Channel {
        registry_tower::channel(Catalogue::follow(&self.registry, &self.dir, Json))
    }
}

/// A request, and how long the server takes for it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Ask {
    pub(crate) number: Option<u64>,
    pub(crate) takes: Duration,
    pub(crate) limit: Option<Duration>,
}

/// Sends it; returns who answered.
pub(crate) async fn ask(channel: &Channel, ask: Ask) -> Result<String, Status> {
    let mut request = tonic::Request::new(HealthCheckRequest::default());
    if let Some(number) = ask.number {
        request.metadata_mut().insert(NUMBER, number.into());
    }
    request.metadata_mut().insert(TAKES, u64::try_from(ask.takes.as_millis()).expect("not that long").into());
    if let Some(limit) = ask.limit {
        request.set_timeout(limit);
    }
    let response = HealthClient::new(channel.clone()).check(request).await?;
    Ok(response.metadata().get(WHO).expect("a name").to_str().expect("a name").to_owned())
}

/// Asks one after the other until exactly these answer, each of many in a row.
pub(crate) async fn answered_by(channel: &Channel, wanted: &[&str]) {
    let began = Instant::now();
    loop {
        let mut answers = BTreeSet::new();
        for _ in 0..50 {
            let limit = Some(Duration::from_secs(5));
            let answer = ask(channel, Ask { limit, ..Ask::default() }).await;
            answers.insert(answer.unwrap_or_else(|status| status.to_string()));
        }
        if answers.iter().map(String::as_str).eq(wanted.iter().copied()) {
            return;
        }
        assert!(began.elapsed() < SOON, "{answers:?} instead of {wanted:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// The outcome of one request.
pub(crate) struct Outcome {
    pub(crate) number: u64,
    pub(crate) began: Instant,
    pub(crate) answer: Result<String, Status>,
}

/// The number of the next request, of all callers.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Callers that send one request after the other.
pub(crate) struct Callers {
    shared: Arc<Shared>,
    tasks: JoinSet<Vec<Outcome>>,
}

#[derive(Default)]
struct Shared {
    ended: AtomicBool,
    in_flight: AtomicUsize,
    answered: AtomicUsize,
}

impl Callers {
    pub(crate) fn start(count: usize, channel: &Channel, request: Ask) -> Self {
        let (shared, mut tasks) = (Arc::<Shared>::default(), JoinSet::new());
        for _ in 0..count {
            let (shared, channel) = (Arc::clone(&shared), channel.clone());
            tasks.spawn(async move {
                let mut outcomes = Vec::new();
                while !shared.ended.load(Ordering::SeqCst) {
                    let (number, began) = (NEXT.fetch_add(1, Ordering::SeqCst), Instant::now());
                    shared.in_flight.fetch_add(1, Ordering::SeqCst);
                    let answer = ask(&channel, Ask { number: Some(number), ..request }).await;
                    shared.in_flight.fetch_sub(1, Ordering::SeqCst);
                    shared.answered.fetch_add(usize::from(answer.is_ok()), Ordering::SeqCst);
                    outcomes.push(Outcome { number, began, answer });
                }
                outcomes
            });
        }
        Self { shared, tasks }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::SeqCst)
    }

    /// Waits until this many more requests were answered.
    pub(crate) async fn answered(&self, more: usize) {
        let (began, wanted) = (Instant::now(), self.shared.answered.load(Ordering::SeqCst) + more);
        while self.shared.answered.load(Ordering::SeqCst) < wanted {
            assert!(began.elapsed() < SOON, "no answers");
            sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn end(self) -> Outcomes {
        self.shared.ended.store(true, Ordering::SeqCst);
        Outcomes(self.tasks.join_all().await.into_iter().flatten().collect())
    }
}

pub(crate) struct Outcomes(pub(crate) Vec<Outcome>);

impl Outcomes {
    pub(crate) fn failures(&self) -> Vec<(&Outcome, &Status)> {
        self.0.iter().filter_map(|outcome| Some((outcome, outcome.answer.as_ref().err()?))).collect()
    }

    /// How many requests each server answered.
    pub(crate) fn answers(&self) -> BTreeMap<&str, usize> {
        let mut answers = BTreeMap::new();
        for name in self.0.iter().filter_map(|outcome| outcome.answer.as_deref().ok()) {
            *answers.entry(name).or_default() += 1;
        }
        answers
    }

    /// No request was processed twice, and one that was answered was processed.
    pub(crate) fn none_processed_twice(&self, processed: &[BTreeMap<u64, usize>]) {
        for outcome in &self.0 {
            let times: usize = processed.iter().filter_map(|processed| processed.get(&outcome.number)).sum();
            assert!(times <= 1, "request {} was processed {times} times", outcome.number);
            assert!(times == 1 || outcome.answer.is_err(), "request {} was answered and not processed", outcome.number);
        }
    }
}
