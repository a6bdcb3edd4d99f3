use std::time::Duration;

use futures_util::future::join_all;
use registry_core::{Bytes, Condition, Error, ErrorKind, Registry, Scope};
use test_servers::{Etcd, Options, Version};
use tokio::time::{Instant, sleep, timeout};

use crate::proxy::Proxy;
use crate::support::{admin, at_last, begun, changes, dir, key, on, ttl, value, with};

pub(crate) async fn row_3_1_the_granted_time_to_live_counts() {
    let slow = Options::from(Version::V3_4).argument("--heartbeat-interval=500").argument("--election-timeout=5000");
    let etcd = Etcd::start(slow).await.unwrap();
    let lease = on(&etcd.endpoint()).register(&key("a"), value(), &ttl(2)).await.unwrap();
    let id = i64::from_str_radix(lease.id(), 16).unwrap();
    let told = admin(&etcd).await.lease_time_to_live(id, None).await.unwrap();
    assert_eq!(lease.ttl(), Duration::from_secs(told.granted_ttl().try_into().unwrap()));
    assert!(lease.ttl() > Duration::from_secs(5), "this server grants nothing shorter: {:?}", lease.ttl());
}

pub(crate) async fn row_3_2_a_lease_that_ran_out_while_the_server_hung_is_lost() {
    let mut etcd = Etcd::start(Version::V3_5).await.unwrap();
    let registry = on(&etcd.endpoint());
    let lease = registry.register(&key("a"), value(), &ttl(2)).await.unwrap();
    etcd.pause().await.unwrap();
    let begun = Instant::now();
    let error = registry.renew(&lease).await.unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(5), "a hung server must be noticed in time for another one");
    sleep(Duration::from_secs(3)).await;
    etcd.unpause().await.unwrap();
    let lost = at_last(async || match registry.renew(&lease).await {
        Err(error) if error.is_unavailable() => Err(error),
        // The server renews a lease that it has not missed yet.
        Ok(()) => panic!("a lease was renewed that had run out"),
        Err(error) => Ok(error),
    });
    assert_eq!(lost.await.kind(), ErrorKind::LeaseLost);
}

pub(crate) async fn row_3_6_a_revoked_lease_is_lost_and_a_deleted_key_is_an_eviction() {
    for version in Version::ALL {
        let etcd = Etcd::start(version).await.unwrap();
        let (registry, mut admin) = (on(&etcd.endpoint()), admin(&etcd).await);
        let lease = registry.register(&key("a"), value(), &ttl(60)).await.unwrap();
        admin.lease_revoke(i64::from_str_radix(lease.id(), 16).unwrap()).await.unwrap();
        assert_eq!(registry.renew(&lease).await.unwrap_err().kind(), ErrorKind::LeaseLost);
        assert_eq!(registry.update(&lease, value()).await.unwrap_err().kind(), ErrorKind::LeaseLost);

        let lease = registry.register(&key("a"), value(), &ttl(60)).await.unwrap();
        admin.delete(key("a").as_str(), None).await.unwrap();
        assert_eq!(registry.renew(&lease).await.unwrap_err().kind(), ErrorKind::Evicted);
        assert_eq!(registry.update(&lease, value()).await.unwrap_err().kind(), ErrorKind::Evicted);

        // Without a lease of its own, an entry is somebody else's all the same.
        admin.put(key("a").as_str(), "theirs", None).await.unwrap();
        assert_eq!(registry.renew(&lease).await.unwrap_err().kind(), ErrorKind::Conflict);
        registry.deregister(&lease).await.unwrap();
        assert_eq!(registry.list(&Scope::from(dir())).await.unwrap().entries.len(), 1);
    }
}

pub(crate) async fn row_3_7_an_entry_survives_a_crash_of_the_server() {
    let mut etcd = Etcd::start(Version::V3_4).await.unwrap();
    let registry = on(&etcd.endpoint());
    let lease = registry.register(&key("a"), value(), &ttl(10)).await.unwrap();
    etcd.kill().await.unwrap();
    let error = registry.renew(&lease).await.unwrap_err();
    assert!(error.is_unavailable() && error.to_string().contains(&etcd.endpoint()), "{error:?}");
    etcd.start_again().await.unwrap();
    at_last(async || registry.renew(&lease).await).await;
}

pub(crate) async fn row_3_19_a_wiped_server_has_lost_every_lease() {
    let mut etcd = Etcd::start(Version::V3_5).await.unwrap();
    let registry = on(&etcd.endpoint());
    let lease = registry.register(&key("a"), value(), &ttl(60)).await.unwrap();
    etcd.wipe().await.unwrap();
    let lost = at_last(async || match registry.renew(&lease).await {
        Err(error) if !error.is_unavailable() => Ok(error),
        other => other.map(|()| panic!("renewed on an empty server")),
    });
    assert_eq!(lost.await.kind(), ErrorKind::LeaseLost);
}

pub(crate) async fn row_3_24_a_registration_whose_answer_was_lost_is_looked_up() {
    let etcd = Etcd::start(Version::V3_5).await.unwrap();
    let proxy = Proxy::start("127.0.0.1", etcd.endpoint()).await;
    let impatient = with(&proxy.endpoint(), |config| config.address.request_timeout = Duration::from_millis(300));
    let absent = ttl(60).condition(Condition::Absent);
    let (mut found, mut failed) = (0, 0);
    // The more is let through, the later in the registration the answers stop.
    for bytes in (10..200).step_by(10) {
        let key = key(&format!("m{bytes}"));
        impatient.list(&Scope::from(&key)).await.unwrap();
        let before = proxy.connections();
        proxy.lose_answers_after(bytes);
        let lease = match impatient.register(&key, value(), &absent).await {
            Ok(lease) => {
                found += usize::from(proxy.connections() > before);
                lease
            }
            Err(error) => {
                assert!(error.is_unavailable(), "{error:?}");
                failed += 1;
                // We never conflict with ourselves.
                impatient.register(&key, value(), &absent).await.unwrap()
            }
        };
        impatient.renew(&lease).await.unwrap();
        assert_eq!(impatient.list(&Scope::from(&key)).await.unwrap().entries.len(), 1);
    }
    assert!(found > 0 && failed > 0, "the answers were never lost where it matters: {found} found, {failed} failed");
}

pub(crate) async fn row_3_24_a_registration_that_was_given_up_is_no_conflict() {
    let etcd = Etcd::start(Version::V3_4).await.unwrap();
    let (registry, other) = (on(&etcd.endpoint()), on(&etcd.endpoint()));
    let absent = ttl(60).condition(Condition::Absent);
    registry.list(&Scope::from(dir())).await.unwrap();
    let mut left_behind = 0;
    for step in 0..200 {
        let key = key(&format!("m{step}"));
        let patience = Duration::from_micros(20 * step);
        if timeout(patience, registry.register(&key, value(), &absent)).await.is_ok() {
            continue;
        }
        left_behind += other.list(&Scope::from(&key)).await.unwrap().entries.len();
        let lease = registry.register(&key, value(), &absent).await.unwrap();
        registry.renew(&lease).await.unwrap();
    }
    assert!(left_behind > 0, "no registration was cut off after its entry stood");
}

pub(crate) async fn row_3_24_an_update_whose_answer_was_lost_happens_once() {
    let etcd = Etcd::start(Version::V3_5).await.unwrap();
    let proxy = Proxy::start("127.0.0.1", etcd.endpoint()).await;
    let impatient = with(&proxy.endpoint(), |config| config.address.request_timeout = Duration::from_millis(300));
    let lease = impatient.register(&key("a"), value(), &ttl(60)).await.unwrap();
    let mut stream = impatient.watch(&Scope::from(dir()), lease.token()).await.unwrap();
    let direct = on(&etcd.endpoint());
    let mut direct_stream = direct.watch(&Scope::from(dir()), lease.token()).await.unwrap();
    proxy.lose_answers_after(0);
    let error = impatient.update(&lease, Bytes::from_static(b"2")).await.unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    impatient.update(&lease, Bytes::from_static(b"2")).await.unwrap();
    impatient.update(&lease, Bytes::from_static(b"3")).await.unwrap();
    let first = changes(&mut direct_stream).await.unwrap();
    let second = changes(&mut direct_stream).await.unwrap();
    assert_eq!((first.changes.len(), second.changes.len()), (1, 1));
    assert!(
        format!("{first:?}").contains("b\"2\"") && format!("{second:?}").contains("b\"3\""),
        "{first:?} {second:?}"
    );
    assert_eq!(second.index.position(), first.index.position() + 1, "the value was written twice");
    // The watch that ran over the lost connection ends instead of staying silent.
    let limit = Duration::from_secs(21);
    let ended = timeout(limit, futures_util::StreamExt::next(&mut stream)).await.expect("it must be noticed");
    assert!(ended.unwrap().is_err_and(|error| error.is_unavailable()));
}

pub(crate) async fn row_3_28_a_full_server_keeps_what_it_has() {
    let etcd = Etcd::start(Options::from(Version::V3_5).argument("--quota-backend-bytes=2097152")).await.unwrap();
    let (registry, mut admin) = (on(&etcd.endpoint()), admin(&etcd).await);
    let lease = registry.register(&key("a"), value(), &ttl(10)).await.unwrap();
    let mut stream = registry.watch(&Scope::from(dir()), lease.token()).await.unwrap();
    let full = async {
        let mut number = 0;
        while admin.put(format!("/ballast/{number}"), vec![7; 500_000], None).await.is_ok() {
            number += 1;
        }
    };
    timeout(Duration::from_secs(20), full).await.unwrap();

    let error = registry.register(&key("b"), value(), &ttl(10)).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("NOSPACE"), "{error:?}");
    let error = registry.update(&lease, value()).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    registry.renew(&lease).await.unwrap();
    assert_eq!(registry.list(&Scope::from(dir())).await.unwrap().entries.len(), 1);
    registry.deregister(&lease).await.unwrap();
    assert_eq!(changes(&mut stream).await.unwrap().changes.len(), 1);
}

pub(crate) async fn a_thousand_leases_share_a_stream_and_their_looks() {
    for version in Version::ALL {
        let etcd = Etcd::start(version).await.unwrap();
        let registry = on(&etcd.endpoint());
        let keys: Vec<_> = (0..1000).map(|number| key(&format!("m{number}"))).collect();
        let options = ttl(60);
        let leases = join_all(keys.iter().map(|key| registry.register(key, value(), &options))).await;
        let leases: Vec<_> = leases.into_iter().map(Result::unwrap).collect();
        registry.renew(&leases[0]).await.unwrap();
        let requests = async || {
            let (streams, gets) = (begun(&etcd, "LeaseKeepAlive").await, begun(&etcd, "Range").await);
            (streams, gets, begun(&etcd, "Txn").await)
        };
        let before = requests().await;
        // On a slow machine some lose their patience and ask alone, or even get no answer in time; that is not the rule.
        let (streams, gets, looks) = at_last(async || {
            let before = requests().await;
            for answer in join_all(leases.iter().map(|lease| registry.renew(lease))).await {
                answer?;
            }
            let after = requests().await;
            let made = (after.0 - before.0, after.1 - before.1, after.2 - before.2);
            let alone = made.0 + made.1 > 0;
            if alone { Err(Error::new(ErrorKind::Timeout, format!("{made:?}"))) } else { Ok(made) }
        })
        .await;
        assert_eq!((streams, gets), (0, 0));
        assert!((10..100).contains(&looks), "{version:?}: {looks} transactions for a thousand renewals");
        assert_eq!(before.0, 1, "{version:?}: the first renewal opened the stream");

        // Each hears of its own fate.
        let mut admin = admin(&etcd).await;
        admin.lease_revoke(i64::from_str_radix(leases[7].id(), 16).unwrap()).await.unwrap();
        admin.delete(key("m8").as_str(), None).await.unwrap();
        let answers = join_all(leases[..50].iter().map(|lease| registry.renew(lease))).await;
        for (number, answer) in answers.into_iter().enumerate() {
            let wanted = match number {
                7 => Some(ErrorKind::LeaseLost),
                8 => Some(ErrorKind::Evicted),
                _ => None,
            };
            assert_eq!(answer.err().map(|error| error.kind()), wanted, "{version:?}: m{number}");
        }
    }
}

/// What is given up half-way leaves a stream that still tells the truth.
pub(crate) async fn renewals_of_one_lease_do_not_answer_for_each_other() {
    let etcd = Etcd::start(Version::V3_5).await.unwrap();
    let registry = on(&etcd.endpoint());
    let lease = registry.register(&key("a"), value(), &ttl(60)).await.unwrap();
    registry.renew(&lease).await.unwrap();
    for step in 0..200 {
        let patience = Duration::from_micros(20 * step);
        let (first, second) = tokio::join!(timeout(patience, registry.renew(&lease)), registry.renew(&lease));
        assert!(first.is_err() || first.unwrap().is_ok());
        second.unwrap();
    }
    let streams = begun(&etcd, "LeaseKeepAlive").await;
    assert!(streams < 100, "{streams} streams for four hundred renewals");
    admin(&etcd).await.lease_revoke(i64::from_str_radix(lease.id(), 16).unwrap()).await.unwrap();
    let renew = || async { registry.renew(&lease).await.unwrap_err().kind() };
    let (first, second) = tokio::join!(renew(), renew());
    assert_eq!((first, second), (ErrorKind::LeaseLost, ErrorKind::LeaseLost));
}

pub(crate) async fn a_stream_that_hangs_is_replaced() {
    let etcd = Etcd::start(Version::V3_5).await.unwrap();
    let proxy = Proxy::start("127.0.0.1", etcd.endpoint()).await;
    let registry = on(&proxy.endpoint());
    let lease = registry.register(&key("a"), value(), &ttl(60)).await.unwrap();
    // True when a renewal has opened a stream.
    let renew = async || {
        let before = begun(&etcd, "LeaseKeepAlive").await;
        registry.renew(&lease).await.map(drop)?;
        Ok(begun(&etcd, "LeaseKeepAlive").await > before)
    };
    // A slow machine may take some more until one is used again.
    let is_kept = async || match renew().await {
        Ok(true) => Err(Error::new(ErrorKind::Unavailable, "it opened a stream")),
        answer => answer,
    };
    assert!(renew().await.unwrap(), "there is none yet");
    at_last(is_kept).await;
    proxy.lose_answers_after(0);
    let error = renew().await.unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    assert!(at_last(renew).await, "the hung stream is still in use");
    at_last(is_kept).await;
}
