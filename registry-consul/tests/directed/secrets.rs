//! Tokens and certificates on a real server.

use registry_consul::{Address, CATALOG, Config, KV, connect, connect_kv};
use registry_core::{ErrorKind, Registry};
use test_servers::{Consul, ConsulOptions, Zone, certificates};

use crate::support::{bytes, dir, key, options, raw, start, text};

const MASTER: &str = "11111111-2222-3333-4444-555555555555";

fn config(consul: &Consul, token: Option<&str>) -> Config {
    let config = Config::from(Address::new(&KV, [consul.endpoint()]));
    match token {
        Some(token) => config.token(token),
        None => config,
    }
}

/// A token that may do what these rules say.
async fn token(consul: &Consul, name: &str, rules: &str) -> String {
    let rules = rules.replace('"', "\\\"");
    raw(consul, "PUT", "/v1/acl/policy", &format!(r#"{{"Name":"{name}","Rules":"{rules}"}}"#)).await;
    let made = raw(consul, "PUT", "/v1/acl/token", &format!(r#"{{"Policies":[{{"Name":"{name}"}}]}}"#)).await;
    text(&made, "SecretID").to_owned()
}

#[tokio::test]
async fn a_token_permits_what_it_permits() {
    let consul = start(ConsulOptions::default().access_control(MASTER)).await;
    raw(&consul, "PUT", "/v1/kv/a/b", "secret").await;
    let kind = async |token: Option<&str>| {
        let registry = connect_kv(config(&consul, token)).expect("a configuration");
        registry.list(&dir("/a")).await.map(|listed| listed.entries.len()).map_err(|error| error.kind())
    };
    // Whoever may not read is told by Consul that there is nothing. That must not be believed.
    assert_eq!(kind(None).await, Err(ErrorKind::Unauthenticated));
    assert_eq!(kind(Some("99999999-0000-0000-0000-000000000000")).await, Err(ErrorKind::Unauthenticated));
    let elsewhere = token(&consul, "elsewhere", r#"key_prefix "z/" { policy = "write" }"#).await;
    assert_eq!(kind(Some(&elsewhere)).await, Err(ErrorKind::PermissionDenied));
    let rules = r#"key_prefix "a/" { policy = "write" } session_prefix "" { policy = "write" }"#;
    let right = token(&consul, "right", rules).await;
    assert_eq!(kind(Some(&right)).await, Ok(1));
    let registry = connect_kv(config(&consul, Some(&right))).expect("a configuration");
    let lease = registry.register(&key("/a/c"), bytes("1"), &options()).await.expect("permitted");
    registry.renew(&lease).await.expect("permitted");
    let lease = registry.update(&lease, bytes("2")).await.expect("permitted");
    registry.deregister(&lease).await.expect("permitted");
    let error = registry.register(&key("/z/c"), bytes("1"), &options()).await.expect_err("not permitted");
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    let error = registry.remove(&key("/z/c")).await.expect_err("not permitted");
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
}

#[tokio::test]
async fn a_token_for_services() {
    let consul = start(ConsulOptions::default().access_control(MASTER)).await;
    let rules =
        r#"service "web" { policy = "write" } node_prefix "" { policy = "read" } agent_prefix "" { policy = "read" }"#;
    let token = token(&consul, "web", rules).await;
    let mut config = Config::from(Address::new(&CATALOG, [consul.endpoint()]));
    config = config.token(token.as_str());
    let registry = connect(config).expect("a configuration");
    let lease = registry.register(&key("/a/web/h:1"), bytes("1"), &options()).await.expect("permitted");
    registry.renew(&lease).await.expect("permitted");
    assert_eq!(registry.list(&dir("/a/web")).await.expect("listed").entries.len(), 1);
    assert_eq!(registry.list(&dir("/a/db")).await.expect_err("not permitted").kind(), ErrorKind::PermissionDenied);
    let error = registry.register(&key("/a/db/h:1"), bytes("1"), &options()).await.expect_err("not permitted");
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    registry.deregister(&lease).await.expect("permitted");
}

#[tokio::test]
async fn a_token_is_read_from_a_file() {
    let consul = start(ConsulOptions::default().access_control(MASTER)).await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("token");
    std::fs::write(&file, format!("{MASTER}\n")).expect("written");
    let url = format!("consul-kv://{}/?token_file={}", consul.endpoint(), file.display());
    let registry = connect_kv(Config::from_uri(&KV, &url).expect("a URL")).expect("a configuration");
    registry.register(&key("/a/b"), bytes("1"), &options()).await.expect("permitted");
}

#[tokio::test]
async fn certificates_are_checked_on_both_sides() {
    let directory = tempfile::tempdir().expect("a directory");
    let files = certificates::make(directory.path()).expect("certificates");
    let consul = start(ConsulOptions::default().tls_mutual(&files)).await;
    let secure = || Address::new(&KV, [consul.endpoint()]).tls();
    let with_client = || secure().cert(files.client()).key(files.client_key());
    let registry = connect_kv(with_client().ca(files.ca())).expect("a configuration");
    let lease = registry.register(&key("/a/b"), bytes("1"), &options()).await.expect("registered");
    registry.deregister(&lease).await.expect("released");
    // Reached by a name that its certificate does not hold.
    let named = Address::new(&KV, ["consul.internal:8501"]).resolver(Zone::of([consul.endpoint().as_str()])).tls();
    let named = || named.clone().ca(files.ca()).cert(files.client()).key(files.client_key());
    let registry = connect_kv(named().server_name("localhost")).expect("a configuration");
    assert_eq!(registry.list(&dir("/a")).await.expect("listed").entries.len(), 0);
    for (address, what) in [
        (named(), "a certificate of another name"),
        (named().server_name("another.example"), "a certificate without that name"),
        (secure().ca(files.ca()), "no certificate of ours"),
        (with_client().ca(files.other_ca()), "another authority"),
        (Address::new(&KV, [consul.endpoint()]), "no TLS"),
    ] {
        let error = connect_kv(address).expect("a configuration").list(&dir("/a")).await.expect_err(what);
        assert!(error.is_unavailable() || error.kind() == ErrorKind::Unexpected, "{what}: {error:?}");
    }
}
