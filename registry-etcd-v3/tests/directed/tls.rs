use std::time::Duration;

use registry_core::{Error, Registry, Scope};
use registry_etcd_v3::{Config, EtcdV3, connect};
use test_servers::certificates::{self, Certificates};
use test_servers::{Etcd, Options, Version};

use crate::proxy::Proxy;
use crate::support::{dir, key, on, ttl, value};

fn secured(endpoint: &str, ca: &std::path::Path, client: Option<&Certificates>) -> EtcdV3 {
    let mut config = Config::from_uri(&format!("etcds://{endpoint}")).unwrap();
    config.address.ca = Some(ca.to_owned());
    config.address.cert = client.map(Certificates::client);
    config.address.key = client.map(Certificates::client_key);
    connect(config).unwrap()
}

async fn works(registry: &EtcdV3) {
    let lease = registry.register(&key("a"), value(), &ttl(60)).await.unwrap();
    registry.renew(&lease).await.unwrap();
    drop(registry.watch(&Scope::from(dir()), lease.token()).await.unwrap());
    registry.deregister(&lease).await.unwrap();
}

/// The reason is told, and waiting may help: certificates are renewed while we run.
async fn refused(registry: &EtcdV3, reasons: &[&str]) -> Error {
    let error = registry.list(&Scope::from(dir())).await.unwrap_err();
    let text = error.to_string();
    assert!(error.is_transient(), "{error:?}");
    assert!(reasons.iter().any(|reason| text.contains(reason)), "none of {reasons:?} is in: {text}");
    error
}

pub(crate) async fn row_3_22_tls_tells_the_true_reason() {
    let files = tempfile::tempdir().unwrap();
    let made = certificates::make(files.path()).unwrap();
    let etcd = Etcd::start(Options::from(Version::V3_5).tls(&made)).await.unwrap();
    let port = etcd.port();

    works(&secured(&etcd.endpoint(), &made.ca(), None)).await;
    works(&secured(&format!("localhost:{port}"), &made.ca(), None)).await;
    refused(&secured(&etcd.endpoint(), &made.other_ca(), None), &["UnknownIssuer"]).await;
    let elsewhere = Proxy::start("127.0.0.2", etcd.endpoint()).await;
    refused(&secured(&elsewhere.endpoint(), &made.ca(), None), &["not valid for name"]).await;
    refused(&on(&etcd.endpoint()), &["etcds://"]).await;

    let plain = Etcd::start(Version::V3_5).await.unwrap();
    refused(&secured(&plain.endpoint(), &made.ca(), None), &["does the server speak TLS?"]).await;
}

pub(crate) async fn row_3_22_an_expired_certificate_is_called_so() {
    let files = tempfile::tempdir().unwrap();
    let made = certificates::make(files.path()).unwrap();
    let etcd = Etcd::start(Options::from(Version::V3_4).tls_expired(&made)).await.unwrap();
    refused(&secured(&etcd.endpoint(), &made.ca(), None), &["expired"]).await;
}

pub(crate) async fn row_3_22_both_sides_show_a_certificate() {
    let files = tempfile::tempdir().unwrap();
    let made = certificates::make(files.path()).unwrap();
    let etcd = Etcd::start(Options::from(Version::V3_5).tls_mutual(&made)).await.unwrap();
    works(&secured(&etcd.endpoint(), &made.ca(), Some(&made))).await;
    refused(
        &secured(&etcd.endpoint(), &made.ca(), None),
        &["CertificateRequired", "BadCertificate", "a client's certificate"],
    )
    .await;
}

pub(crate) async fn a_file_that_is_wrong_is_named_at_once() {
    let files = tempfile::tempdir().unwrap();
    let made = certificates::make(files.path()).unwrap();
    let mut config = Config::from_uri("etcds://127.0.0.1:1").unwrap();
    (config.address.ca, config.address.cert, config.address.key) =
        (Some(made.ca()), Some(made.client()), Some(made.client()));
    let error = connect(config.clone()).unwrap_err().to_string();
    assert!(error.contains("client.pem") && error.contains("private key"), "{error}");
    config.address.key = Some(files.path().join("server.key"));
    let error = connect(config.clone()).unwrap_err().to_string();
    assert!(error.contains("server.key") && error.contains("go together"), "{error}");
    config.address.ca = Some(files.path().join("absent.pem"));
    let error = connect(config).unwrap_err().to_string();
    assert!(error.contains("absent.pem"), "{error}");
}

/// The files are read again for every new connection.
pub(crate) async fn a_renewed_authority_is_picked_up() {
    let files = tempfile::tempdir().unwrap();
    let made = certificates::make(files.path()).unwrap();
    let etcd = Etcd::start(Options::from(Version::V3_5).tls(&made)).await.unwrap();
    let ca = files.path().join("current.pem");
    std::fs::copy(made.other_ca(), &ca).unwrap();
    let registry = secured(&etcd.endpoint(), &ca, None);
    refused(&registry, &["UnknownIssuer"]).await;
    std::fs::copy(made.ca(), &ca).unwrap();
    tokio::time::timeout(Duration::from_secs(8), works(&registry)).await.unwrap();
}

/// The server is reached under an address that its certificate does not hold.
pub(crate) async fn a_certificate_that_names_something_else_is_accepted_by_that_name() {
    let files = tempfile::tempdir().unwrap();
    let made = certificates::make(files.path()).unwrap();
    let etcd = Etcd::start(Options::from(Version::V3_5).tls(&made)).await.unwrap();
    let elsewhere = Proxy::start("127.0.0.2", etcd.endpoint()).await;
    let expecting = |name: &str| {
        let uri = format!("etcds://{}?server_name={name}&ca={}", elsewhere.endpoint(), made.ca().display());
        connect(Config::from_uri(&uri).unwrap()).unwrap()
    };
    works(&expecting("localhost")).await;
    refused(&expecting("another.example"), &["not valid for name"]).await;
}

/// The client library reads the bundle once more, and would refuse the whole for one.
pub(crate) async fn a_damaged_certificate_in_a_bundle_harms_no_other() {
    let files = tempfile::tempdir().unwrap();
    let made = certificates::make(files.path()).unwrap();
    let etcd = Etcd::start(Options::from(Version::V3_5).tls(&made)).await.unwrap();
    let damaged = "-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n";
    let (other, right) =
        (std::fs::read_to_string(made.other_ca()).unwrap(), std::fs::read_to_string(made.ca()).unwrap());
    let bundle = files.path().join("bundle.pem");
    std::fs::write(&bundle, format!("{other}{damaged}{right}")).unwrap();
    works(&secured(&etcd.endpoint(), &bundle, None)).await;
}
