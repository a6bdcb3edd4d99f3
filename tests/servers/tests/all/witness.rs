//! What the server says, by ways of its own.

use std::io::{Error, Read, Result, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use test_servers::certificates::Certificates;
use test_servers::{Api, Etcd, http};

const LIMIT: Duration = Duration::from_secs(5);

pub(crate) async fn write_v2(port: u16, key: &str, value: &str) {
    let path = format!("/v2/keys/{key}");
    let (status, body) = http::request(LIMIT, port, "PUT", &path, &format!("value={value}")).await.unwrap();
    assert_eq!(status, 201, "{body}");
}

pub(crate) async fn read_v2(port: u16, key: &str) -> Option<String> {
    let path = format!("/v2/keys/{key}?quorum=true");
    let (status, body) = http::request(LIMIT, port, "GET", &path, "").await.unwrap();
    match status {
        200 => body.split(r#""value":""#).nth(1)?.split('"').next().map(str::to_owned),
        404 => None,
        _ => panic!("{status} {body}"),
    }
}

pub(crate) async fn cluster_id(etcd: &Etcd) -> String {
    let status = etcd.etcdctl(Api::V3, &["endpoint", "status", "--write-out=json"]).await.unwrap();
    let id = status.split(r#""cluster_id":"#).nth(1).and_then(|rest| rest.split(',').next());
    id.unwrap_or_else(|| panic!("no cluster id in {status}")).to_owned()
}

/// Accepts the connection and never answers.
pub(crate) async fn hangs(port: u16) -> bool {
    let error = http::request(Duration::from_millis(300), port, "GET", "/health", "").await.unwrap_err();
    error.to_string().contains("no answer")
}

/// Nothing listens there any more; waits a while for it.
pub(crate) fn is_gone(port: u16) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// One request by TLS, and the answer; with the client's certificate or without one.
pub(crate) fn ask_by_tls(port: u16, ca: &Path, client: Option<&Certificates>) -> Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let config = match client {
        Some(files) => {
            let certificate = CertificateDer::from_pem_file(files.client()).unwrap();
            let key = PrivateKeyDer::from_pem_file(files.client_key()).unwrap();
            builder.with_client_auth_cert(vec![certificate], key).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).map_err(Error::other)?;
    let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_read_timeout(Some(LIMIT))?;
    let mut stream = StreamOwned::new(connection, socket);
    stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
