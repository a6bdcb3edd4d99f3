//! Against real sockets.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, mpsc};
use std::thread;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use registry_credentials::client_config;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Answers requests with these answers, one connection each, and gives what it was sent.
fn serve(answers: Vec<String>, tls: Option<Arc<ServerConfig>>) -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for answer in answers {
            let (stream, _) = listener.accept().unwrap();
            let request = match &tls {
                Some(tls) => answered(StreamOwned::new(ServerConnection::new(tls.clone()).unwrap(), stream), &answer),
                None => answered(stream, &answer),
            };
            // A client that refuses the certificate sends no request.
            let _ = sender.send(request.unwrap_or_default());
        }
    });
    (address, receiver)
}

fn answered(stream: impl Read + Write, answer: &str) -> std::io::Result<String> {
    let mut stream = BufReader::new(stream);
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        stream.read_line(&mut request)?;
    }
    let length = request.to_lowercase();
    let length =
        length.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    stream.get_mut().write_all(answer.as_bytes())?;
    stream.get_mut().flush()?;
    Ok(request + &String::from_utf8_lossy(&body))
}

fn status(line: &str) -> String {
    format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

fn client(url: &str) -> Result<Http, String> {
    Http::new(&NotifySpec::http("web", url))
}

#[tokio::test]
async fn posts_the_model_and_wants_success() {
    let (address, requests) = serve(vec![status("204 No Content"), status("500 Oops")], None);
    let http = client(&format!("http://user:hunter2@{address}/hook?token=hunter3")).unwrap();
    http.post(&Message::default(), TIMEOUT).await.unwrap();
    let request = requests.recv().unwrap();
    assert!(request.starts_with("POST /hook?token=hunter3 HTTP/1.1\r\n"), "{request}");
    assert!(request.to_lowercase().contains("content-type: application/json"), "{request}");
    assert!(request.ends_with(r#"{"schema":0,"files":[],"clusters":{}}"#), "{request}");
    let error = http.post(&Message::default(), TIMEOUT).await.unwrap_err();
    assert_eq!(error, format!("http://{address}/hook answered 500 Internal Server Error"));
}

#[tokio::test]
async fn does_not_follow_a_redirect() {
    let (address, _requests) = serve(
        vec!["HTTP/1.1 307 Elsewhere\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".into()],
        None,
    );
    let error = client(&format!("http://{address}/")).unwrap().post(&Message::default(), TIMEOUT).await.unwrap_err();
    assert!(error.ends_with("answered 307 Temporary Redirect, and redirects are not followed"), "{error}");
}

#[tokio::test]
async fn a_silent_server_is_left_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let http = client(&format!("http://user:hunter2@{}/", listener.local_addr().unwrap())).unwrap();
    let error = http.post(&Message::default(), Duration::from_millis(200)).await.unwrap_err();
    assert!(error.contains("timed out") && !error.contains("hunter"), "{error}");
}

#[tokio::test]
async fn https_trusts_its_roots_only() {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let (address, requests) = serve(vec![status("200 OK"), status("200 OK")], Some(Arc::new(tls)));
    let url: Url = format!("https://{address}/").parse().unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let trusting = |roots| Http { client: builder(client_config(roots).unwrap()).build().unwrap(), url: url.clone() };
    trusting(roots).post(&Message::default(), TIMEOUT).await.unwrap();
    assert!(requests.recv().unwrap().starts_with("POST / "));
    let stranger = trusting(RootCertStore::empty());
    let error = stranger.post(&Message::default(), TIMEOUT).await.unwrap_err();
    assert!(error.contains("UnknownIssuer"), "{error}");
}

#[test]
fn refuses_what_is_no_address_without_showing_it() {
    for url in ["ftp://hunter2/", "hunter2", "", "http://hunter2:99999/"] {
        let Err(error) = client(url) else { panic!("{url} was accepted") };
        assert!(!error.contains("hunter"), "{error}");
    }
}
