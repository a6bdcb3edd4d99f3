//! Servers that are started in another way than usual.

use std::time::Duration;

use tempfile::TempDir;
use test_servers::certificates::{self, Certificates};
use test_servers::{Api, Etcd, Options, Version, http};

use crate::witness::ask_by_tls;

fn certificates() -> (TempDir, Certificates) {
    let directory = TempDir::new().unwrap();
    let certificates = certificates::make(directory.path()).unwrap();
    (directory, certificates)
}

#[tokio::test]
async fn without_v2() {
    let etcd = Etcd::start(Options::from(Version::V3_5).v2(false)).await.unwrap();
    let (status, _) = http::request(Duration::from_secs(5), etcd.port(), "GET", "/v2/keys/", "").await.unwrap();
    assert_eq!(status, 404);
    etcd.etcdctl(Api::V3, &["put", "k", "v"]).await.unwrap();
}

#[tokio::test]
async fn own_arguments_and_files() {
    let (_directory, certificates) = certificates();
    let options = Options::from(Version::V3_5)
        .argument("--name=given")
        .argument("--initial-cluster=given=http://localhost:2380")
        .files(certificates.directory())
        // Without these files there is no such listener, and etcd does not start.
        .argument("--listen-peer-urls=https://127.0.0.1:0")
        .argument("--peer-cert-file={files}/server.pem")
        .argument("--peer-key-file={files}/server.key");
    let etcd = Etcd::start(options).await.unwrap();
    let members = etcd.etcdctl(Api::V3, &["member", "list"]).await.unwrap();
    assert!(members.contains(", given, "), "{members}");
    assert!(members.contains(&etcd.endpoint()), "{members}");
}

#[tokio::test]
async fn tls() {
    let (_directory, certificates) = certificates();
    let mut etcd = Etcd::start(Options::from(Version::V3_4).tls(&certificates)).await.unwrap();
    for api in [Api::V2, Api::V3] {
        let write = if api == Api::V2 { "set" } else { "put" };
        etcd.etcdctl(api, &[write, "k", "v"]).await.unwrap();
    }
    // A clear word on the encrypted port is not answered as one.
    let plain = http::request(Duration::from_secs(5), etcd.port(), "GET", "/health", "").await;
    assert!(!matches!(plain, Ok((200, _))), "{plain:?}");

    etcd.stop().await.unwrap();
    etcd.start_again().await.unwrap();
    let value = etcd.etcdctl(Api::V3, &["get", "k", "--print-value-only"]).await.unwrap();
    assert_eq!(value, "v");
}

#[tokio::test]
async fn mutual_tls_wants_a_certificate_of_the_client() {
    let (_directory, certificates) = certificates();
    let etcd = Etcd::start(Options::from(Version::V3_5).tls_mutual(&certificates)).await.unwrap();
    let (port, ca) = (etcd.port(), certificates.ca());
    let answer = ask_by_tls(port, &ca, Some(&certificates)).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    ask_by_tls(port, &ca, None).unwrap_err();
    ask_by_tls(port, &certificates.other_ca(), Some(&certificates)).unwrap_err();
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let (_directory, certificates) = certificates();
    let etcd = Etcd::start(Options::from(Version::V3_5).tls_expired(&certificates)).await.unwrap();
    let error = ask_by_tls(etcd.port(), &certificates.ca(), None).unwrap_err();
    assert!(error.to_string().contains("certificate expired"), "{error}");
}
