//! What happens to a request whose server says that it has not processed it, and to one whose server does not say so.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use registry::{Catalogue, Codec, Dir, Instance, Json, RegisterOptions, Registration, Registry, RegistryExt};
use registry_tower::Channel;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus as Answer;
use tonic_health::pb::health_client::HealthClient;

const SOON: Duration = Duration::from_secs(30);

/// The service that the good server knows: only a request that arrives whole is answered.
const SERVICE: &str = "greeter";

/// What a server does with a request that it has read.
#[derive(Clone, Copy)]
enum Reply {
    /// `RST_STREAM` with `REFUSED_STREAM`.
    Refuse,
    /// GOAWAY that names no request as processed; the connection stays open.
    GoAwayBefore,
    /// GOAWAY that names this request as processed; closes the connection.
    GoAwayAfter,
    /// Closes the connection.
    Close,
}

/// A server of HTTP/2 that answers no request. It writes its frames by hand, since no library sends such ones at will.
struct Scripted {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    pings: Arc<AtomicUsize>,
    task: AbortHandle,
}

impl Scripted {
    async fn start(reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, pings) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let counts = (Arc::clone(&requests), Arc::clone(&pings));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (requests, pings) = counts.clone();
                // A client that closes the connection is an error here, which ends it.
                tokio::spawn(async move { serve(stream, reply, &requests, &pings).await.ok() });
            }
        });
        Self { address, requests, pings, task: task.abort_handle() }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    reply: Reply,
    requests: &AtomicUsize,
    pings: &AtomicUsize,
) -> std::io::Result<()> {
    const DATA: u8 = 0;
    const RST_STREAM: u8 = 3;
    const SETTINGS: u8 = 4;
    const PING: u8 = 6;
    const GOAWAY: u8 = 7;
    // The flag of an acknowledgement, and of the last frame of a request.
    const FLAG: u8 = 1;
    stream.read_exact(&mut [0; 24]).await?;
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let [high, middle, low, kind, flags, number @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, high, middle, low]) as usize];
        stream.read_exact(&mut payload).await?;
        let (flag, number) = (flags & FLAG != 0, u32::from_be_bytes(number));
        match kind {
            SETTINGS if !flag => stream.write_all(&frame(SETTINGS, FLAG, 0, &[])).await?,
            PING if !flag => {
                pings.fetch_add(1, Ordering::SeqCst);
                stream.write_all(&frame(PING, FLAG, 0, &payload)).await?;
            }
            DATA if flag => {
                requests.fetch_add(1, Ordering::SeqCst);
                let go_away = |last: u32| frame(GOAWAY, 0, 0, &[last.to_be_bytes(), [0; 4]].concat());
                match reply {
                    Reply::Refuse => stream.write_all(&frame(RST_STREAM, 0, number, &7_u32.to_be_bytes())).await?,
                    Reply::GoAwayBefore => stream.write_all(&go_away(0)).await?,
                    Reply::GoAwayAfter => return stream.write_all(&go_away(number)).await,
                    Reply::Close => return Ok(()),
                }
            }
            _ => {}
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A server that answers.
struct Good {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Good {
    async fn start(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (reporter, health) = tonic_health::server::health_reporter();
        reporter.set_service_status(SERVICE, ServingStatus::Serving).await;
        let router = tonic::transport::Server::builder().add_service(health);
        let task = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            router.serve_with_incoming_shutdown(TcpListenerStream::new(listener), stopped).await.unwrap();
        });
        Self { address, stop, task }
    }

    /// Finishes what it has, and ends.
    async fn stop(self) {
        drop(self.stop);
        self.task.await.unwrap();
    }
}

struct Site {
    registry: Arc<dyn Registry>,
    dir: Dir,
    entries: Vec<Registration>,
    _directory: TempDir,
}

impl Site {
    async fn new(addresses: &[SocketAddr]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let registry = registry::connect(&format!("sqlite://{}/registry.db", directory.path().display())).unwrap();
        let dir = Dir::new("/clusters/greeter").unwrap();
        let mut entries = Vec::new();
        for (number, address) in addresses.iter().enumerate() {
            let key = dir.key(&format!("server-{number}")).unwrap();
            let instance = Instance::new(address.ip().to_string(), address.port()).unwrap();
            let value = Json.encode(&key.name(), &instance).unwrap();
            let options = RegisterOptions::new().ttl(Duration::from_hours(1));
            entries.push(registry.announce(key, value, options).await.unwrap());
        }
        Self { registry, dir, entries, _directory: directory }
    }

    /// A channel that has all of them.
    async fn channel(&self) -> Channel {
        let channel = registry_tower::channel(Catalogue::follow(&self.registry, &self.dir, Json));
        assert!(!self.entries.is_empty());
        // The first requests come before the last server is connected.
        sleep(Duration::from_millis(500)).await;
        channel
    }
}

async fn ask(channel: &Channel) -> Result<(), Status> {
    let mut request = tonic::Request::new(HealthCheckRequest { service: SERVICE.to_owned() });
    request.set_timeout(SOON);
    let response = HealthClient::new(channel.clone()).check(request).await?;
    assert_eq!(response.get_ref().status(), Answer::Serving);
    Ok(())
}

/// Asks until the scripted server has had so many requests; returns how many of all failed, and how.
async fn ask_until(channel: &Channel, scripted: &Scripted, wanted: usize) -> Vec<Status> {
    let mut failures = Vec::new();
    let asking = async {
        while scripted.requests() < wanted {
            failures.extend(ask(channel).await.err());
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(SOON, asking).await.expect("the scripted server gets requests");
    failures
}

async fn beside_a_good_one(reply: Reply) -> (usize, Vec<Status>) {
    let (scripted, good) = (Scripted::start(reply).await, Good::start("127.0.0.1:0").await);
    let site = Site::new(&[scripted.address, good.address]).await;
    let channel = site.channel().await;
    let failures = ask_until(&channel, &scripted, 5).await;
    (scripted.requests(), failures)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_request_is_sent_to_another_server() {
    let (_, failures) = beside_a_good_one(Reply::Refuse).await;
    assert!(failures.is_empty(), "{failures:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_comes_after_a_goaway_is_sent_to_another_server() {
    let (_, failures) = beside_a_good_one(Reply::GoAwayBefore).await;
    assert!(failures.is_empty(), "{failures:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_may_have_been_processed_is_not_sent_again() {
    for reply in [Reply::GoAwayAfter, Reply::Close] {
        let (requests, failures) = beside_a_good_one(reply).await;
        assert_eq!(failures.len(), requests, "{failures:?}");
        for status in failures {
            assert_eq!(status.code(), Code::Unavailable, "{status}");
            assert!(status.message().contains("may have been processed"), "{status}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_every_server_refuses_fails() {
    let scripted = Scripted::start(Reply::Refuse).await;
    let site = Site::new(&[scripted.address]).await;
    let status = ask(&site.channel().await).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(status.message().contains("server-0 at 127.0.0.1:"), "{status}");
    assert_eq!(scripted.requests(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_dropped_at_once_back_off() {
    let scripted = Scripted::start(Reply::GoAwayBefore).await;
    let site = Site::new(&[scripted.address]).await;
    let channel = site.channel().await.wait_at_most(Duration::from_secs(4));
    let status = timeout(SOON, ask(&channel)).await.expect("it ends").unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!((2..40).contains(&scripted.requests()), "{} attempts in four seconds", scripted.requests());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graceful_restart_without_deregistering_fails_no_request() {
    let mut one = Good::start("127.0.0.1:0").await;
    let two = Good::start("127.0.0.1:0").await;
    let site = Site::new(&[one.address, two.address]).await;
    let channel = site.channel().await;
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let channel = channel.clone();
            tokio::spawn(async move {
                for _ in 0..1500 {
                    ask(&channel).await?;
                    sleep(Duration::from_millis(1)).await;
                }
                Ok::<_, Status>(())
            })
        })
        .collect();
    let mut restarts = 0;
    while callers.iter().any(|caller| !caller.is_finished()) {
        let address = one.address.to_string();
        one.stop().await;
        one = Good::start(&address).await;
        sleep(Duration::from_millis(300)).await;
        restarts += 1;
    }
    assert!(restarts >= 3, "{restarts}");
    for caller in callers {
        caller.await.unwrap().expect("every request is answered");
    }
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_another_protocol_gets_no_requests() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let other = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                stream.read_exact(&mut [0; 24]).await?;
                stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await?;
                stream.read_to_end(&mut Vec::new()).await
            });
        }
    });
    let status = ask(&Site::new(&[address]).await.channel().await).await.unwrap_err();
    assert!(status.message().contains("does not speak HTTP/2"), "{status}");
    let good = Good::start("127.0.0.1:0").await;
    let site = Site::new(&[address, good.address]).await;
    let channel = site.channel().await;
    for _ in 0..200 {
        ask(&channel).await.expect("an answer");
    }
    other.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_is_not_pinged() {
    let scripted = Scripted::start(Reply::Close).await;
    let site = Site::new(&[scripted.address]).await;
    let _channel = site.channel().await;
    sleep(Duration::from_secs(14)).await;
    assert_eq!(scripted.pings.load(Ordering::SeqCst), 0, "servers of gRPC close a connection that is pinged");
}
