//! What happens when a server does not accept who we are, against one that looks at nothing but the header.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use registry_address::{Address, Scheme, Server};
use registry_core::{Error, ErrorKind};
use registry_http::{Endpoints, Failure, Identity, Repeat};
use reqwest::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const SCHEME: Scheme = Scheme { plain: "plain", secure: "secure", port: 1 };

/// Accepts one token, which it puts into the client's file while the first request is under way.
async fn server(right: &'static str, file: Option<PathBuf>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = listener.local_addr().expect("an address").to_string();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let requests = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.expect("a request"));
            }
            let head = String::from_utf8(head).expect("text");
            let token = head.lines().find_map(|line| line.strip_prefix("x-token: ")).expect("a token").to_owned();
            if let Some(file) = &file {
                std::fs::write(file, right).expect("written");
            }
            let status = if token == right { "200 OK" } else { "403 Forbidden" };
            requests.lock().expect("not poisoned").push(token);
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.expect("sent");
        }
    });
    (endpoint, seen)
}

async fn ask(endpoints: &Endpoints, at: Server) -> Result<(), Failure> {
    let request = endpoints.request(at, Method::GET, "/a", "", "/a")?;
    let response = endpoints.send(at, "/a", request, Duration::from_secs(30)).await?;
    match response.status() {
        StatusCode::OK => Ok(()),
        _ => Err(Failure::Refused(Error::new(ErrorKind::PermissionDenied, "refused"))),
    }
}

/// The secret is changed in the file while the request is under way, too late for that one.
#[tokio::test]
async fn who_is_refused_looks_for_another_secret_and_asks_once_more() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("token");
    std::fs::write(&file, "old").expect("written");
    let (endpoint, seen) = server("new", Some(file.clone())).await;
    let identity = Identity::token_file("x-token", file).expect("a token");
    let endpoints = Endpoints::new(&Address::new(&SCHEME, [endpoint]), Some(identity), "").expect("valid");
    let ((), doubtful) = endpoints.call(Repeat::Freely, |at| ask(&endpoints, at)).await.expect("an answer");
    assert!(!doubtful, "what was refused was not carried out");
    assert_eq!(*seen.lock().expect("not poisoned"), ["old", "new"]);
}

/// One that is behind may not know the secret yet, so each is asked, once.
#[tokio::test]
async fn who_is_refused_asks_each_once() {
    let (first, seen) = server("right", None).await;
    let (second, other) = server("right", None).await;
    let identity = Identity::token("x-token", "wrong".into()).expect("a token");
    let endpoints = Endpoints::new(&Address::new(&SCHEME, [first, second]), Some(identity), "").expect("valid");
    let error = endpoints.call(Repeat::Freely, |at| ask(&endpoints, at)).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!((seen.lock().expect("not poisoned").len(), other.lock().expect("not poisoned").len()), (1, 1));
    assert!(!format!("{endpoints:?} {endpoints:#?}").contains("wrong"));
}
