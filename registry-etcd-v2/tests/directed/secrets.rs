//! TLS, passwords, and who may see them.

use registry_core::{ErrorKind, Registry};
use registry_etcd_v2::{Address, Config, SCHEME, connect};
use test_servers::certificates::{Certificates, make};
use test_servers::{Api, Etcd, Options, Version};

use crate::scripted::Scripted;
use crate::support::*;

fn certificates() -> (tempfile::TempDir, Certificates) {
    let directory = tempfile::tempdir().expect("a directory");
    let certificates = make(directory.path()).expect("certificates");
    (directory, certificates)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_is_enough_for_tls() {
    let (_directory, certificates) = certificates();
    let etcd = Etcd::start(Options::from(Version::V3_5).tls(&certificates)).await.expect("a server");
    let config = Address::new(&SCHEME, [etcd.endpoint()]).tls();
    let registry = connect(config.clone().ca(certificates.ca())).expect("valid");
    put(&registry, "/a/x", "1").await;
    let mut watch = registry.watch(&dir("/a"), now(&registry).await).await.expect("watched");
    put(&registry, "/a/y", "1").await;
    assert_eq!(next_change(&mut watch).await.expect("an event").0, "+y=1");
    // IPv6 and names are in the certificate, too; the wrong authority is not, and the error says so.
    let wrong = connect(config.clone().ca(certificates.other_ca())).expect("valid");
    let error = wrong.list(&dir("/a")).await.expect_err("not trusted");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("certificate"), "the true reason is missing: {error}");
    let plain = connect(Address::new(&SCHEME, [etcd.endpoint()])).expect("valid");
    assert!(plain.list(&dir("/a")).await.is_err(), "there is no way back to plain HTTP");
}

#[tokio::test(flavor = "multi_thread")]
async fn mutual_tls_needs_both_files() {
    let (directory, certificates) = certificates();
    let etcd = Etcd::start(Options::from(Version::V3_5).tls_mutual(&certificates)).await.expect("a server");
    let config = Address::new(&SCHEME, [etcd.endpoint()]).tls().ca(certificates.ca());
    let both = config.clone().cert(certificates.client()).key(certificates.client_key());
    put(&connect(both.clone()).expect("valid"), "/a/x", "1").await;
    let nobody = connect(config.clone()).expect("valid");
    let error = nobody.list(&dir("/a")).await.expect_err("nobody");
    assert!(error.is_transient() && error.to_string().to_lowercase().contains("certificate"), "{error}");

    let key_missing = connect(config.clone().cert(certificates.client())).expect_err("half");
    assert!(key_missing.kind() == ErrorKind::Config && key_missing.to_string().contains("without `key`"));
    let cert_missing = connect(config.clone().key(certificates.client_key())).expect_err("half");
    assert!(cert_missing.kind() == ErrorKind::Config && cert_missing.to_string().contains("without `cert`"));
    // A file that is missing or is something else is named.
    let no_file = directory.path().join("nothing.pem");
    let garbage = directory.path().join("garbage.pem");
    std::fs::write(&garbage, "-----BEGIN NONSENSE").expect("written");
    for (config, file) in [
        (config.clone().ca(&no_file), "nothing.pem"),
        (config.clone().ca(&garbage), "garbage.pem"),
        (config.clone().ca(certificates.client_key()), "client.key"),
        (both.clone().cert(&no_file), "nothing.pem"),
        (both.clone().key(&garbage), "garbage.pem"),
        (both.clone().key(certificates.client()), "client.pem"),
    ] {
        let error = connect(config.clone()).expect_err(file);
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.to_string().contains(file), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_refused_by_name() {
    let (_directory, certificates) = certificates();
    let etcd = Etcd::start(Options::from(Version::V3_5).tls_expired(&certificates)).await.expect("a server");
    let config = Address::new(&SCHEME, [etcd.endpoint()]).tls().ca(certificates.ca());
    let error = connect(config.clone()).expect("valid").list(&dir("/a")).await.expect_err("expired");
    assert!(error.is_transient() && error.to_string().contains("xpired"), "{error}");
}

/// With etcd's own users, on both versions.
#[tokio::test(flavor = "multi_thread")]
async fn users_and_passwords() {
    let etcd = Etcd::start(Version::V3_4).await.expect("a server");
    let ctl = async |arguments: &[&str]| etcd.etcdctl(Api::V2, arguments).await.expect("etcdctl");
    ctl(&["user", "add", "root:r00tpw"]).await;
    ctl(&["user", "add", "web:s3cr3t"]).await;
    ctl(&["role", "add", "web"]).await;
    ctl(&["role", "grant", "web", "--path", "/web*", "--readwrite"]).await;
    ctl(&["user", "grant", "web", "--roles", "web"]).await;
    ctl(&["auth", "enable"]).await;
    ctl(&["--username", "root:r00tpw", "role", "revoke", "guest", "--path", "/*", "--readwrite"]).await;

    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("password");
    std::fs::write(&file, "s3cr3t\n").expect("written");
    let uri = format!("etcd-v2://{}?user=web&password_file={}", etcd.endpoint(), file.display());
    for config in [
        Config::from_uri(&uri).expect("valid"),
        Config::from_uri(&format!("etcd-v2://web:s3cr3t@{}", etcd.endpoint())).expect("valid"),
    ] {
        let registry = connect(config.clone()).expect("valid");
        let mut watch = registry
            .watch(&dir("/web"), registry.list(&dir("/web")).await.expect("listed").index)
            .await
            .expect("watched");
        let lease = put(&registry, "/web/x", "1").await;
        assert_eq!(next_change(&mut watch).await.expect("an event").0, "+x=1");
        registry.renew(&lease).await.expect("renewed");
        let mut own = registry.watch(&entry("/web/x"), lease.token()).await.expect("watched");
        registry.deregister(&lease).await.expect("released");
        assert_eq!(next_change(&mut own).await.expect("an event").0, "-x Deleted");
        let error = registry.list(&dir("/other")).await.expect_err("no permission");
        assert!(error.kind() == ErrorKind::PermissionDenied && error.to_string().contains("web"), "{error:?}");
    }
    let nobody = connect(Address::new(&SCHEME, [etcd.endpoint()])).expect("valid");
    for error in [
        nobody.list(&dir("/web")).await.expect_err("nobody"),
        nobody.register(&key("/web/x"), bytes("1"), &seconds(9)).await.expect_err("nobody"),
        nobody.watch(&dir("/web"), registry_core::Index::new(0, 7)).await.err().expect("nobody"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:?}");
    }
    let wrong = Address::new(&SCHEME, [etcd.endpoint()]).login("web", "wr0ng");
    let error = connect(wrong).expect("valid").list(&dir("/web")).await.expect_err("wrong password");
    assert!(
        error.kind() == ErrorKind::PermissionDenied && !format!("{error} {error:?}").contains("wr0ng"),
        "{error:?}"
    );
}

/// Wherever something goes wrong, the password is not in what is shown.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_never_shown() {
    let dead = format!("127.0.0.1:{}", test_servers::free_port());
    let broken = Scripted::always("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi").await;
    for endpoint in [dead, broken.endpoint()] {
        let config = Address::new(&SCHEME, [endpoint]).login("me", "s3cr3t");
        let registry = connect(config.clone()).expect("valid");
        let error = registry.list(&dir("/a")).await.expect_err("nothing there");
        let shown = format!("{config:?} {config:#?} {registry:?} {} {error} {error:?}", registry.info());
        assert!(!shown.contains("s3cr3t"), "{shown}");
        // Basic authentication is only base64: bWU6czNjcjN0 is `me:s3cr3t`.
        assert!(!shown.contains("bWU6czNjcjN0"), "{shown}");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let config = |file: &std::path::Path| {
        Config::from_uri(&format!("etcd-v2://h?user=me&password_file={}", file.display())).expect("valid")
    };
    let missing = connect(config(&directory.path().join("missing"))).expect_err("no file");
    assert!(missing.kind() == ErrorKind::Config && missing.to_string().contains("missing"), "{missing}");
    let incomplete = connect(Config::from_uri("etcd-v2://me@h").expect("valid")).expect_err("no password");
    assert_eq!(incomplete.kind(), ErrorKind::Config);
}
