//! Which server a request goes to, against servers of which each answers its own name, is silent, or is not there.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use registry_address::{Address, Resolve, Scheme};
use registry_core::{Error, ErrorKind, async_trait};
use registry_http::{Endpoints, Failure, Repeat};
use reqwest::{Method, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};

const SCHEME: Scheme = Scheme { plain: "plain", secure: "secure", port: 1 };

/// Says for every name what the test wants.
#[derive(Clone, Debug, Default)]
struct Zone(Arc<Mutex<Vec<SocketAddr>>>);

impl Zone {
    fn set(&self, addresses: &[SocketAddr]) {
        *self.0.lock().expect("not poisoned") = addresses.to_vec();
    }
}

#[async_trait]
impl Resolve for Zone {
    async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(self.0.lock().expect("not poisoned").clone())
    }
}

/// Several servers with one name.
struct Cluster {
    zone: Zone,
    endpoints: Endpoints,
}

impl Cluster {
    fn of(addresses: &[SocketAddr]) -> Self {
        let zone = Zone::default();
        zone.set(addresses);
        let address = Address::new(&SCHEME, ["etcd-headless:2379"]).resolver(zone.clone());
        let address = address.timeout(Duration::from_millis(500));
        Self { zone, endpoints: Endpoints::new(&address, None, "").expect("valid") }
    }

    async fn ask(&self) -> Result<String, Error> {
        ask(&self.endpoints).await
    }
}

async fn ask(endpoints: &Endpoints) -> Result<String, Error> {
    endpoints.call(Repeat::Freely, |at| one(endpoints, at)).await.map(|(answer, _)| answer)
}

async fn one(endpoints: &Endpoints, at: registry_address::Server) -> Result<String, Failure> {
    let request = endpoints.request(at, Method::GET, "/a", "", "/a")?;
    let mut response = endpoints.send(at, "/a", request, endpoints.limit()).await?;
    let body = endpoints.body(at, "/a", &mut response).await?;
    let said = String::from_utf8(body).expect("text");
    match response.status() {
        StatusCode::OK => Ok(said),
        status => Err(Failure::Doubtful(Error::new(ErrorKind::Unavailable, format!("{status}: {said}")))),
    }
}

/// Answers with its own name, which host it was asked as, and keeps its connections open.
async fn serves(status: &'static str, name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, status, name));
        }
    });
    address
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, status: &str, name: &str) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let head = String::from_utf8(head).expect("text");
        let host = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("host: ").map(str::to_owned));
        let body = format!("{name} {}", host.expect("a host"));
        let said = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(said.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The machine takes connections for it, and nothing ever answers.
fn hung() -> (std::net::TcpListener, SocketAddr) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

fn dead() -> SocketAddr {
    hung().1
}

#[tokio::test]
async fn a_name_with_a_dead_a_hung_and_a_leaderless_address_is_served_by_the_next_one() {
    let (_listener, hung) = hung();
    let leaderless = serves("500 Internal Server Error", "No cluster leader").await;
    let good = serves("200 OK", "good").await;
    for first in [dead(), hung, leaderless] {
        let cluster = Cluster::of(&[first, good]);
        assert_eq!(cluster.ask().await.expect("an answer"), "good etcd-headless:2379");
        // It is remembered: the hung one would take half a second.
        let begun = Instant::now();
        for _ in 0..5 {
            cluster.ask().await.expect("an answer");
        }
        assert!(begun.elapsed() < Duration::from_millis(500), "{first} was asked again: {:?}", begun.elapsed());
    }
}

/// The connections of one address are not those of another one: HTTP libraries keep them by the name.
#[tokio::test]
async fn a_connection_of_the_server_that_was_left_is_not_used_again() {
    let (one, two) = (serves("200 OK", "one").await, serves("200 OK", "two").await);
    let cluster = Cluster::of(&[one, two]);
    assert_eq!(cluster.ask().await.expect("an answer"), "one etcd-headless:2379");
    let endpoints = &cluster.endpoints;
    let label = endpoints.label(endpoints.current());
    assert_eq!(label, "etcd-headless:2379 (127.0.0.1)");
    // Somebody gives a request up: the server may hang.
    let given_up = endpoints.call(Repeat::Freely, |_| std::future::pending::<Result<(), Failure>>());
    assert!(tokio::time::timeout(Duration::from_millis(20), given_up).await.is_err());
    for _ in 0..5 {
        assert_eq!(cluster.ask().await.expect("an answer"), "two etcd-headless:2379");
    }
}

/// As when a pod is replaced: the name has another address afterwards.
#[tokio::test]
async fn a_name_that_moved_is_resolved_again_after_a_failure() {
    let (old, new) = (serves("503 Service Unavailable", "old").await, serves("200 OK", "new").await);
    let cluster = Cluster::of(&[old]);
    let error = cluster.ask().await.expect_err("it does not serve").to_string();
    assert!(error.contains("503"), "{error}");
    cluster.zone.set(&[new]);
    let begun = Instant::now();
    let answer = loop {
        match cluster.ask().await {
            Ok(answer) => break answer,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "it stays with the old address");
    };
    assert_eq!(answer, "new etcd-headless:2379");
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_an_error_that_names_it() {
    let cluster = Cluster::of(&[]);
    let error = cluster.ask().await.expect_err("no address");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("etcd-headless:2379"), "{error}");
    assert!(error.to_string().contains("no address"), "{error}");
}

#[tokio::test]
async fn a_socket_of_this_machine_is_an_endpoint() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("consul.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, "200 OK", "socket"));
        }
    });
    let encoded = path.to_str().expect("text").replace('/', "%2F");
    let address = Address::parse(&SCHEME, &format!("plain://unix:{encoded}/prefix")).expect("a URL");
    assert_eq!(address.prefix, "/prefix");
    let endpoints = Endpoints::new(&address, None, "").expect("valid");
    assert_eq!(ask(&endpoints).await.expect("an answer"), "socket localhost");
    let absent = Address::new(&SCHEME, [format!("unix:{}/absent", directory.path().display())]);
    let error = ask(&Endpoints::new(&absent, None, "").expect("valid")).await.expect_err("nobody listens");
    assert!(error.kind() == ErrorKind::Unavailable && error.to_string().contains("absent"), "{error}");
}

#[tokio::test]
async fn an_address_with_a_zone_is_connected_to() {
    let listener = TcpListener::bind("[::1]:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, "200 OK", "zone"));
        }
    });
    // The number of loopback: its name is taken only with addresses of a link.
    let address = Address::parse(&SCHEME, &format!("plain://[::1%251]:{port}")).expect("a URL");
    let endpoints = Endpoints::new(&address, None, "").expect("valid");
    assert_eq!(ask(&endpoints).await.expect("an answer"), format!("zone [::1]:{port}"));
}
