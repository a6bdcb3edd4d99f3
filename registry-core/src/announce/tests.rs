//! A machine that is suspended while something is registered. Suspensions are pretended, and time is that of the timers.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use tokio::time::{sleep, timeout};

use super::*;
use crate::clock::pretended::suspend;
use crate::{BatchStream, Capabilities, Info, RegistryExt, Scope, Snapshot};

const TTL: Duration = Duration::from_secs(9);
/// When it is doubtful, after a renewal.
const CERTAIN: Duration = Duration::from_millis(8100);

/// A server that goes on counting: an entry of which it hears nothing for its time to live is gone.
#[derive(Debug)]
struct Server {
    owners: AtomicU64,
    renewals: AtomicU64,
    renewed: std::sync::Mutex<Moment>,
}

impl Server {
    fn start() -> Arc<Self> {
        let renewed = std::sync::Mutex::new(Moment::now());
        Arc::new(Self { owners: AtomicU64::new(0), renewals: AtomicU64::new(0), renewed })
    }

    fn has_heard(&self) {
        *self.renewed.lock().unwrap() = Moment::now();
    }

    fn renewals(&self) -> u64 {
        self.renewals.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Registry for Server {
    fn info(&self) -> Info {
        Info { scheme: "test", endpoints: Vec::new() }
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::full()
    }

    async fn register(&self, key: &Key, _: Bytes, _: &RegisterOptions) -> Result<Lease> {
        // Long enough for everybody to see that nothing was registered until now.
        sleep(Duration::from_millis(1)).await;
        self.has_heard();
        let owner = self.owners.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(Lease::new(key.clone(), "", Index::new(1, owner), TTL))
    }

    async fn renew(&self, _: &Lease) -> Result<()> {
        self.renewals.fetch_add(1, Ordering::Relaxed);
        if (*self.renewed.lock().unwrap() + TTL).is_over() {
            return Err(Error::new(ErrorKind::LeaseLost, "its time to live ran out"));
        }
        self.has_heard();
        Ok(())
    }

    async fn update(&self, lease: &Lease, _: Bytes) -> Result<Lease> {
        Ok(lease.clone())
    }

    async fn deregister(&self, _: &Lease) -> Result<()> {
        Ok(())
    }

    async fn remove(&self, _: &Key) -> Result<bool> {
        Ok(false)
    }

    async fn list(&self, _: &Scope) -> Result<Snapshot> {
        Err(Error::invalid_input("this one has no list"))
    }

    async fn watch(&self, _: &Scope, _: Index) -> Result<BatchStream> {
        Err(Error::invalid_input("this one has no watch"))
    }
}

async fn announce(server: &Arc<Server>, options: RegisterOptions) -> (Registration, Index) {
    let key = Key::parse("/clusters/web/a").unwrap();
    let registration = server.announce(key, "v", options.ttl(TTL).without_watch()).await.unwrap();
    let token = registration.token().unwrap();
    (registration, token)
}

#[tokio::test(start_paused = true)]
async fn who_was_suspended_holds_nothing_before_anybody_was_told() {
    let server = Server::start();
    let (registration, token) = announce(&server, RegisterOptions::new().single_ownership()).await;
    sleep(Duration::from_millis(10)).await;
    let before = registration.status();
    suspend(CERTAIN);
    // The look comes first: no task has had its turn since then.
    assert_eq!((registration.token(), before.held()), (None, None));
    assert!(matches!(registration.status().state, State::Held { .. }));

    let begun = Instant::now();
    registration.lost(token).await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_loss_is_told_within_a_second_of_waking() {
    let server = Server::start();
    let (registration, token) = announce(&server, RegisterOptions::new().single_ownership()).await;
    let asleep = async {
        sleep(Duration::from_millis(10)).await;
        suspend(TTL);
        Instant::now()
    };
    let ((), woken) = tokio::join!(registration.lost(token), asleep);
    assert!(woken.elapsed() <= Duration::from_secs(1), "{:?}", woken.elapsed());
    assert_eq!(registration.status().held(), None);
}

#[tokio::test(start_paused = true)]
async fn what_expired_in_suspend_is_registered_again_within_a_second() {
    let server = Server::start();
    let (registration, token) = announce(&server, RegisterOptions::new()).await;
    let mut status = registration.watch();
    sleep(Duration::from_millis(10)).await;
    suspend(TTL);
    let woken = Instant::now();
    let again = async {
        // It says so before it asks.
        status.wait_for(|status| status.state == State::Lost).await.unwrap();
        status.wait_for(|status| status.held().is_some()).await.unwrap();
    };
    timeout(Duration::from_mins(1), again).await.expect("it is registered again");
    assert!(woken.elapsed() <= Duration::from_millis(1010), "{:?}", woken.elapsed());
    assert!(registration.token().unwrap().position() > token.position());
}

#[tokio::test(start_paused = true)]
async fn a_short_suspension_only_makes_the_renewal_due() {
    let server = Server::start();
    let (registration, token) = announce(&server, RegisterOptions::new()).await;
    sleep(Duration::from_millis(10)).await;
    suspend(Duration::from_secs(6));
    assert_eq!((registration.token(), server.renewals()), (Some(token), 0));
    sleep(Duration::from_secs(1)).await;
    assert_eq!((registration.token(), server.renewals()), (Some(token), 1));
    assert!(matches!(registration.status().state, State::Held { .. }));
}
