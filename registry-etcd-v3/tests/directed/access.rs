use std::path::Path;
use std::time::Duration;

use etcd_client::{
    Certificate, Client, ConnectOptions, Identity, Permission, PermissionType, TlsOptions, UserAddOptions,
};
use futures_util::future::join_all;
use registry_core::{Dir, ErrorKind, Index, Registry, Scope};
use registry_etcd_v3::EtcdV3;
use test_servers::{Etcd, Options, Version, certificates};
use tokio::time::sleep;

use crate::support::{admin, at_last, changes, dir, key, on, refused, ttl, value, with};

const PASSWORD: &str = "canary-1b7f";

/// A server on which `me` may use `/clusters/` and nothing else, and its administrator.
async fn guarded(options: Options) -> (Etcd, Client) {
    let etcd = Etcd::start(options).await.unwrap();
    let mut admin = admin(&etcd).await;
    prepare(&mut admin, "me").await;
    admin.auth_enable().await.unwrap();
    admin.update_user(Some(("root".into(), "root".into()))).await.unwrap();
    (etcd, admin)
}

/// Users for a server that does not ask for them yet.
async fn prepare(admin: &mut Client, user: &str) {
    admin.user_add("root", "root", Some(UserAddOptions::new())).await.unwrap();
    admin.role_add("root").await.unwrap();
    admin.user_grant_role("root", "root").await.unwrap();
    admin.user_add(user, PASSWORD, Some(UserAddOptions::new())).await.unwrap();
    admin.role_add("clusters").await.unwrap();
    let ours = Permission::new(PermissionType::Readwrite, "/clusters/").with_prefix();
    admin.role_grant_permission("clusters", ours).await.unwrap();
    admin.user_grant_role(user, "clusters").await.unwrap();
}

fn me(etcd: &Etcd) -> EtcdV3 {
    with(&etcd.endpoint(), |config| {
        (config.address.user, config.address.password) = (Some("me".into()), Some(PASSWORD.into()));
    })
}

async fn works(registry: &EtcdV3) {
    let lease = registry.register(&key("a"), value(), &ttl(60)).await.unwrap();
    registry.renew(&lease).await.unwrap();
    let lease = registry.update(&lease, value()).await.unwrap();
    let mut watch = registry.watch(&Scope::from(dir()), lease.token()).await.unwrap();
    assert_eq!(changes(&mut watch).await.unwrap().changes.len(), 1);
    assert_eq!(registry.list(&Scope::from(dir())).await.unwrap().entries.len(), 1);
    registry.deregister(&lease).await.unwrap();
}

pub(crate) async fn row_3_11_a_refused_watch_does_not_stay_silent() {
    for version in Version::ALL {
        let (etcd, _) = guarded(version.into()).await;
        let registry = me(&etcd);
        works(&registry).await;
        let theirs = Dir::new("/theirs").unwrap();
        let denied = Some(ErrorKind::PermissionDenied);
        assert_eq!(refused(registry.watch(&Scope::from(&theirs), Index::default()).await).await, denied);
        let error = registry.list(&Scope::from(&theirs)).await.unwrap_err();
        assert_eq!(Some(error.kind()), denied, "{error}");
        let error = registry.register(&theirs.key("a").unwrap(), value(), &ttl(60)).await.unwrap_err();
        assert_eq!(Some(error.kind()), denied, "{error}");
        assert!(error.to_string().contains("/theirs/a"), "{error}");
        // Without a user nothing is allowed either; that is another mistake.
        let error = on(&etcd.endpoint()).list(&Scope::from(dir())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error}");
    }
}

pub(crate) async fn a_renewal_that_is_refused_harms_no_other() {
    for version in Version::ALL {
        let (etcd, mut admin) = guarded(version.into()).await;
        let registry = me(&etcd);
        let theirs = Permission::new(PermissionType::Readwrite, "/theirs/a");
        admin.role_grant_permission("clusters", theirs).await.unwrap();
        let mut keys: Vec<_> = (0..50).map(|number| key(&format!("m{number}"))).collect();
        keys.push(Dir::new("/theirs").unwrap().key("a").unwrap());
        let mut leases = Vec::new();
        for key in &keys {
            leases.push(registry.register(key, value(), &ttl(60)).await.unwrap());
        }
        let renew_all = || join_all(leases.iter().map(|lease| registry.renew(lease)));
        // The first ones open the stream that is kept.
        for _ in 0..2 {
            assert!(renew_all().await.iter().all(Result::is_ok));
        }
        admin.role_revoke_permission("clusters", "/theirs/a", None).await.unwrap();
        for _ in 0..2 {
            let mut answers = renew_all().await;
            let error = answers.pop().unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{version:?}: {error}");
            assert!(error.to_string().contains("/theirs/a"), "{error}");
            assert!(answers.iter().all(Result::is_ok), "{version:?}: {answers:?}");
        }
    }
}

pub(crate) async fn row_3_27_an_expired_token_is_renewed() {
    let expiring = async |version| {
        let (etcd, _) = guarded(Options::from(version).argument("--auth-token-ttl=1")).await;
        let registry = me(&etcd);
        let lease = registry.register(&key("b"), value(), &ttl(60)).await.unwrap();
        // Nothing to poll for: the server tells of the expiry only by refusing the token.
        let expire = || sleep(Duration::from_secs(3));
        expire().await;
        let mut watch = registry.watch(&Scope::from(dir()), lease.token()).await.unwrap();
        expire().await;
        registry.renew(&lease).await.unwrap();
        expire().await;
        registry.update(&lease, value()).await.unwrap();
        assert_eq!(changes(&mut watch).await.unwrap().changes.len(), 1, "an open watch outlives its token");
        expire().await;
        assert_eq!(registry.list(&Scope::from(dir())).await.unwrap().entries.len(), 1);
    };
    tokio::join!(expiring(Version::V3_4), expiring(Version::V3_5));
}

pub(crate) async fn row_3_27_a_token_outlives_a_change_of_the_users() {
    for version in Version::ALL {
        let files = tempfile::tempdir().unwrap();
        certificates::make(files.path()).unwrap();
        let signed = "--auth-token=jwt,priv-key={files}/client.key,sign-method=ES256,ttl=10m";
        let (etcd, mut admin) = guarded(Options::from(version).files(files.path()).argument(signed)).await;
        let registry = me(&etcd);
        works(&registry).await;
        admin.user_add("somebody", "else", Some(UserAddOptions::new())).await.unwrap();
        works(&registry).await;
        admin.update_user(Some(("root".into(), "root".into()))).await.unwrap();
        admin.user_add("another", "one", Some(UserAddOptions::new())).await.unwrap();
        let watch = registry.watch(&Scope::from(dir()), Index::default()).await;
        assert!(watch.is_ok(), "{:?}", watch.err());
    }
}

pub(crate) async fn credentials_for_a_server_that_asks_for_none_do_no_harm() {
    let etcd = Etcd::start(Version::V3_5).await.unwrap();
    works(&me(&etcd)).await;
}

pub(crate) async fn a_password_is_read_from_its_file_and_never_shown() {
    let (etcd, _) = guarded(Version::V3_5.into()).await;
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("password");
    let from = |path: &Path| {
        let path = path.to_owned();
        with(&etcd.endpoint(), |config| {
            (config.address.user, config.address.password_file) = (Some("me".into()), Some(path));
        })
    };
    let mut missing = registry_etcd_v3::Config::from_uri(&format!("etcd://{}", etcd.endpoint())).unwrap();
    (missing.address.user, missing.address.password_file) = (Some("me".into()), Some(path.clone()));
    let error = registry_etcd_v3::connect(missing).unwrap_err();
    assert!(error.kind() == ErrorKind::Config && error.to_string().contains(path.to_str().unwrap()), "{error}");
    std::fs::write(&path, format!("{PASSWORD}\n")).unwrap();
    let registry = from(&path);
    works(&registry).await;

    let wrong = with(&etcd.endpoint(), |config| {
        (config.address.user, config.address.password) = (Some("me".into()), Some("canary-wrong".into()));
    });
    let error = wrong.list(&Scope::from(dir())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error}");
    let shown = format!("{error} {error:?} {wrong:?} {registry:?} {:?}", registry.info());
    assert!(!shown.contains("canary"), "{shown}");
}

/// To a server that knows its users by their certificates, another certificate is another user: it takes another connection.
pub(crate) async fn another_certificate_is_another_user() {
    for version in Version::ALL {
        let (theirs, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let made = certificates::make(theirs.path()).unwrap();
        let etcd = Etcd::start(Options::from(version).tls_mutual(&made)).await.unwrap();
        let read = |name: &str| std::fs::read(theirs.path().join(name)).unwrap();
        let (ca, identity) = (read("ca.pem"), Identity::from_pem(read("client.pem"), read("client.key")));
        let tls = TlsOptions::new().ca_certificate(Certificate::from_pem(ca)).identity(identity);
        let options = ConnectOptions::new().with_tls(tls);
        let mut admin = Client::connect([format!("https://{}", etcd.endpoint())], Some(options)).await.unwrap();
        prepare(&mut admin, "client").await;

        // The server's own certificate names a user `server`, whom it does not know.
        let give = |name: &str| {
            for kind in ["key", "pem"] {
                let beside = ours.path().join("new");
                std::fs::copy(theirs.path().join(format!("{name}.{kind}")), &beside).unwrap();
                std::fs::rename(beside, ours.path().join(format!("own.{kind}"))).unwrap();
            }
        };
        give("server");
        let mut config = registry_etcd_v3::Config::from_uri(&format!("etcds://{}", etcd.endpoint())).unwrap();
        config.address.ca = Some(made.ca());
        config.address.cert = Some(ours.path().join("own.pem"));
        config.address.key = Some(ours.path().join("own.key"));
        let registry = registry_etcd_v3::connect(config).unwrap();
        works(&registry).await;
        admin.auth_enable().await.unwrap();
        let error = registry.list(&Scope::from(dir())).await.unwrap_err();
        assert!(error.is_refusal(), "{version:?}: {error}");
        give("client");
        works(&registry).await;
    }
}

/// Authentication is switched on and off under one connection, which has sent no token, or goes on sending one.
pub(crate) async fn authentication_is_switched_on_and_off() {
    for version in Version::ALL {
        let etcd = Etcd::start(version).await.unwrap();
        let mut admin = admin(&etcd).await;
        prepare(&mut admin, "me").await;
        let registry = me(&etcd);
        works(&registry).await;
        for _ in 0..2 {
            admin.auth_enable().await.unwrap();
            drop(at_last(async || registry.watch(&Scope::from(dir()), Index::default()).await).await);
            works(&registry).await;
            admin.update_user(Some(("root".into(), "root".into()))).await.unwrap();
            admin.auth_disable().await.unwrap();
            admin.update_user(None).await.unwrap();
            works(&registry).await;
        }
    }
}
