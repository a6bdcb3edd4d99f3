//! Each fault against a plain server that sends back what it gets.

use std::future::pending;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use cluster_control_faults::proxy::{Arrival, Proxy, Rules, Way};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// Long enough for anything on a busy machine.
const SOON: Duration = Duration::from_secs(20);
/// What does not arrive within this is held, if it arrives as soon as it is not held any more.
const WHILE: Duration = Duration::from_millis(200);

/// A server that sends everything back, and a proxy before it.
async fn echo() -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
                let _ = to.shutdown().await;
                // Until the client has closed as well.
                let _ = from.read(&mut [0]).await;
            });
        }
        pending::<()>().await;
    });
    Proxy::start(target).await.unwrap()
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.endpoint()).await.unwrap()
}

async fn say(stream: &mut TcpStream, text: &[u8]) {
    stream.write_all(text).await.unwrap();
}

async fn hear(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut heard = vec![0; count];
    timeout(SOON, stream.read_exact(&mut heard)).await.expect("in time").unwrap();
    heard
}

/// Nothing comes for a while.
async fn silence(stream: &mut TcpStream) {
    let mut buffer = [0; 64];
    let heard = timeout(WHILE, stream.read(&mut buffer)).await;
    assert!(heard.is_err(), "{heard:?} came, and nothing should");
}

/// How the stream ends: with an error, or in good order with what came before.
async fn end(stream: &mut TcpStream) -> Result<Vec<u8>, ErrorKind> {
    let mut heard = Vec::new();
    let ended = timeout(SOON, stream.read_to_end(&mut heard)).await.expect("an end in time");
    ended.map(|_| heard).map_err(|error| error.kind())
}

#[tokio::test]
async fn everything_passes_and_is_counted() {
    let proxy = echo().await;
    let mut stream = connect(&proxy).await;
    let long = vec![7; 300_000];
    let (mut from, mut to) = stream.split();
    let ((), heard) = tokio::join!(async { to.write_all(&long).await.unwrap() }, async {
        let mut heard = vec![0; long.len()];
        from.read_exact(&mut heard).await.unwrap();
        heard
    });
    assert_eq!(heard, long);
    let counts = proxy.counts();
    assert_eq!((counts.attempts, counts.open, counts.to_server, counts.to_client), (1, 1, 300_000, 300_000));
    stream.shutdown().await.unwrap();
    assert_eq!(end(&mut stream).await, Ok(vec![]), "the end of one direction reaches the server and comes back");
}

#[tokio::test]
async fn what_is_held_arrives_when_it_is_healed() {
    for rules in [
        Rules { to_server: Way::hold(), ..Rules::default() },
        Rules { to_client: Way::hold(), ..Rules::default() },
        Rules::black_hole(),
    ] {
        let proxy = echo().await;
        let mut stream = connect(&proxy).await;
        say(&mut stream, b"before").await;
        assert_eq!(hear(&mut stream, 6).await, b"before");
        proxy.set(rules);
        say(&mut stream, b"held").await;
        silence(&mut stream).await;
        proxy.heal();
        assert_eq!(hear(&mut stream, 4).await, b"held", "{rules:?}");
    }
}

#[tokio::test]
async fn half_open_lets_the_server_hear() {
    let proxy = echo().await;
    let mut stream = connect(&proxy).await;
    proxy.set(Rules { to_client: Way::hold(), ..Rules::default() });
    say(&mut stream, b"a write").await;
    let begun = Instant::now();
    while proxy.counts().to_server < 7 && begun.elapsed() < SOON {
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!((proxy.counts().to_server, proxy.counts().to_client), (7, 0));
    silence(&mut stream).await;
}

#[tokio::test]
async fn a_black_hole_meets_new_connections_too() {
    let proxy = echo().await;
    proxy.set(Rules::black_hole());
    let mut stream = connect(&proxy).await;
    say(&mut stream, b"hello").await;
    silence(&mut stream).await;
    proxy.heal();
    assert_eq!(hear(&mut stream, 5).await, b"hello");
}

#[tokio::test]
async fn what_has_lost_something_is_reset_when_it_is_healed() {
    let proxy = echo().await;
    let (mut stream, mut idle) = (connect(&proxy).await, connect(&proxy).await);
    proxy.set(Rules { to_client: Way::swallow(), ..Rules::default() });
    say(&mut stream, b"lost").await;
    silence(&mut stream).await;
    proxy.heal();
    assert_eq!(end(&mut stream).await, Err(ErrorKind::ConnectionReset));
    // What has lost nothing lives on.
    say(&mut idle, b"kept").await;
    assert_eq!(hear(&mut idle, 4).await, b"kept");
}

#[tokio::test]
async fn a_half_closed_connection_still_carries_the_other_way() {
    let proxy = echo().await;
    let mut stream = connect(&proxy).await;
    say(&mut stream, b"x").await;
    assert_eq!(hear(&mut stream, 1).await, b"x");
    let before = proxy.counts().to_server;
    proxy.set(Rules { to_client: Way::finish(), ..Rules::default() });
    assert_eq!(end(&mut stream).await, Ok(vec![]), "an end in good order");
    say(&mut stream, b"still").await;
    let begun = Instant::now();
    while proxy.counts().to_server < before + 5 && begun.elapsed() < SOON {
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(proxy.counts().to_server, before + 5);
}

#[tokio::test]
async fn an_answer_is_cut_after_some_bytes() {
    let proxy = echo().await;
    let mut stream = connect(&proxy).await;
    say(&mut stream, b"whole").await;
    assert_eq!(hear(&mut stream, 5).await, b"whole");
    proxy.set(Rules { to_client: Way::truncated(3), ..Rules::default() });
    say(&mut stream, b"broken").await;
    assert_eq!(end(&mut stream).await, Ok(b"bro".to_vec()));
}

#[tokio::test]
async fn everything_is_late() {
    let proxy = echo().await;
    let late = Duration::from_millis(150);
    proxy.set(Rules { to_server: Way::delayed(late), to_client: Way::delayed(late), ..Rules::default() });
    let mut stream = connect(&proxy).await;
    let begun = Instant::now();
    say(&mut stream, b"late").await;
    assert_eq!(hear(&mut stream, 4).await, b"late");
    assert!(begun.elapsed() >= 2 * late, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn everything_is_slow() {
    let proxy = echo().await;
    proxy.set(Rules { to_client: Way::slow(20_000), ..Rules::default() });
    let mut stream = connect(&proxy).await;
    let begun = Instant::now();
    say(&mut stream, &[1; 10_000]).await;
    hear(&mut stream, 10_000).await;
    assert!(begun.elapsed() >= Duration::from_millis(450), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_reset_is_one() {
    let proxy = echo().await;
    let mut stream = connect(&proxy).await;
    say(&mut stream, b"x").await;
    assert_eq!(hear(&mut stream, 1).await, b"x");
    proxy.reset();
    assert_eq!(end(&mut stream).await, Err(ErrorKind::ConnectionReset));
    // New ones are not affected.
    let mut stream = connect(&proxy).await;
    say(&mut stream, b"y").await;
    assert_eq!(hear(&mut stream, 1).await, b"y");
    assert_eq!(proxy.counts().open, 1);
}

#[tokio::test]
async fn whoever_connects_is_reset_and_counted() {
    let proxy = echo().await;
    proxy.set(Rules { arrival: Arrival::Reset, ..Rules::default() });
    for attempt in 1..=3 {
        // The reset may come before the connection was seen to be made.
        if let Ok(mut stream) = TcpStream::connect(proxy.endpoint()).await {
            assert_eq!(end(&mut stream).await, Err(ErrorKind::ConnectionReset));
        }
        assert_eq!(proxy.counts().attempts, attempt);
    }
}

#[tokio::test]
async fn whoever_connects_is_refused_until_it_is_healed() {
    let proxy = echo().await;
    let mut open = connect(&proxy).await;
    say(&mut open, b"x").await;
    assert_eq!(hear(&mut open, 1).await, b"x");
    proxy.set(Rules::refusing());
    let begun = Instant::now();
    loop {
        match TcpStream::connect(proxy.endpoint()).await {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => break,
            // It came before nobody listened any more.
            other => assert!(begun.elapsed() < SOON, "{other:?}"),
        }
        sleep(Duration::from_millis(5)).await;
    }
    // What was open stays.
    say(&mut open, b"y").await;
    assert_eq!(hear(&mut open, 1).await, b"y");
    proxy.heal();
    let begun = Instant::now();
    let mut stream = loop {
        match TcpStream::connect(proxy.endpoint()).await {
            Ok(stream) => break stream,
            Err(error) => assert!(begun.elapsed() < SOON, "{error}"),
        }
        sleep(Duration::from_millis(5)).await;
    };
    say(&mut stream, b"z").await;
    assert_eq!(hear(&mut stream, 1).await, b"z");
}

#[tokio::test]
async fn a_server_that_is_away_is_a_reset() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    drop(listener);
    let proxy = Proxy::start(target).await.unwrap();
    let mut stream = connect(&proxy).await;
    assert_eq!(end(&mut stream).await, Err(ErrorKind::ConnectionReset));
}
