//! The history that a client knows is cut short, or is another one.

use cluster_control_tests::{Sandbox, block_on};
use registry::{Gap, RegistryExt};
use test_servers::{Api as Tool, Etcd, Options, Version, http};

use crate::setting::{Api, Following, PATIENCE, Scene, connect, dir, key, listed, put, ttl, until};

/// While a client is away, an entry goes at exactly the point where the history is compacted: 3.4.23 does not tell of that.
/// On v2 it goes before a thousand other changes, which is all that a server remembers.
pub(crate) fn a_removal_while_away_leaves_no_ghost(api: Api) {
    block_on(async {
        let mut scene = Scene::start(api, Version::V3_4).await;
        let witness = scene.witness(&[0, 1, 2]);
        for name in ["a", "b"] {
            put(&witness, name).await;
        }
        let following = Following::start(&scene.client(&[0, 1, 2])).await;
        for member in 0..3 {
            scene.cluster.cut_off_from_clients(member, true);
        }
        until("the interruption is told", || following.told().interruptions > 0).await;
        assert!(witness.remove(&key("a")).await.expect("removed"));
        let removed = listed(&witness).await.1.position();
        match api {
            Api::V3 => {
                let at = removed.to_string();
                scene.cluster.member(0).etcdctl(Tool::V3, &["compact", &at]).await.expect("compacted");
                put(&witness, "c").await;
            }
            Api::V2 => {
                put(&witness, "c").await;
                let port = scene.cluster.member(0).port();
                overflow(port).await;
            }
        }
        for member in 0..3 {
            scene.cluster.cut_off_from_clients(member, false);
        }
        following.has("c").await;
        let told = following.told();
        assert_eq!(told.members.iter().map(String::as_str).collect::<Vec<_>>(), ["b", "c"], "{told:?}");
        assert_eq!(told.gaps, [Gap::Compacted], "{told:?}");
    });
}

/// More changes than an etcd v2 remembers.
async fn overflow(port: u16) {
    let writes = (0..1100).map(|number| {
        let path = format!("/v2/keys/elsewhere/{}", number % 8);
        async move { http::request(PATIENCE, port, "PUT", &path, "value=v").await.expect("written") }
    });
    let mut tasks = tokio::task::JoinSet::new();
    for write in writes {
        if tasks.len() >= 16 {
            let _ = tasks.join_next().await;
        }
        tasks.spawn(write);
    }
    while let Some(done) = tasks.join_next().await {
        assert!(matches!(done.expect("no panic").0, 200 | 201));
    }
}

/// An old backup is put in the place of what the server holds. With the same cluster id only the index tells.
pub(crate) fn an_old_backup_is_another_history(sandbox: &Sandbox, api: Api, another_cluster: bool) {
    block_on(async {
        let mut etcd = Etcd::start(Options::from(Version::V3_4).process()).await.expect("a server");
        println!("{}", etcd.describe());
        let registry = connect(api, &[&etcd.endpoint()]);
        put(&registry, "old").await;
        let backup = sandbox.path("backup.db");
        etcd.save(&backup).await.expect("saved");
        // The other history will not have our entry at the same index.
        put(&registry, "b").await;
        let registration = registry.announce(key("a"), "v", ttl(10)).await.expect("registered");
        let before = registration.token().expect("held");
        for name in ["c", "d"] {
            put(&registry, name).await;
        }
        let following = Following::start(&registry).await;
        let known = following.told().index.expect("known");

        etcd.restore(&backup, another_cluster).await.expect("restored");
        until("the own entry is registered again", || registration.token().is_some_and(|token| token != before)).await;
        until("the other history is told", || !following.told().gaps.is_empty()).await;
        // No blind wait for an index that never comes.
        put(&registry, "new").await;
        following.has("new").await;
        following.has("a").await;
        // The v2 store is no part of a backup.
        let kept = if api == Api::V3 { vec!["a", "new", "old"] } else { vec!["a", "new"] };
        let now = {
            let told = following.told();
            assert_eq!(told.members.iter().map(String::as_str).collect::<Vec<_>>(), kept, "{told:?}");
            assert!(told.gaps.iter().all(|gap| *gap == Gap::EpochChanged), "{told:?}");
            told.index.expect("known")
        };
        assert_eq!(now.same_epoch(known), !another_cluster, "{now:#} after {known:#}");
        assert_eq!(listed(&registry).await.0.len(), kept.len(), "{}", dir());
    });
}
