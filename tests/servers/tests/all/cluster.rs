//! A cluster elects another leader when its own is away, and goes on; who is cut off stays behind.

use std::time::Duration;

use test_servers::{Api, Cluster, Options, Version, http};

use crate::witness::cluster_id;

async fn lives(options: Options) {
    let mut cluster = Cluster::start(options).await.unwrap();
    println!("{}", cluster.describe());
    let first = cluster.leader().await.unwrap();
    let id = cluster_id(cluster.member(0)).await;
    assert_eq!(cluster_id(cluster.member(1)).await, id);
    put(&mut cluster, first, "1").await;

    cluster.member(first).kill().await.unwrap();
    let second = another_leader(&cluster, first).await;
    put(&mut cluster, second, "2").await;
    cluster.member(first).start_again().await.unwrap();
    assert_eq!(get(&mut cluster, first).await, "2", "it has caught up");

    let second = cluster.leader().await.unwrap();
    cluster.cut_off(second).await.unwrap();
    let third = another_leader(&cluster, second).await;
    put(&mut cluster, third, "3").await;
    // What the majority has consented to, who is cut off cannot know.
    let stale = cluster.member(second).etcdctl(Api::V3, &["get", "k", "--consistency=s", "--print-value-only"]).await;
    assert_eq!(stale.unwrap(), "2");
    assert!(cluster.member(second).etcdctl(Api::V3, &["put", "k", "x"]).await.is_err());
    cluster.join_again(second).await.unwrap();
    cluster.wait_until_healthy().await.unwrap();
    assert_eq!(get(&mut cluster, second).await, "3", "it has caught up");

    let port: u16 = cluster.endpoints()[0].rsplit(':').next().unwrap().parse().unwrap();
    assert!(answers(port).await);
    cluster.cut_off_from_clients(0, true);
    assert!(!answers(port).await);
    assert_eq!(get(&mut cluster, 0).await, "3", "only the wire is cut");
    cluster.cut_off_from_clients(0, false);
    assert!(answers(port).await);
}

async fn answers(port: u16) -> bool {
    http::request(Duration::from_secs(1), port, "GET", "/health", "").await.is_ok()
}

async fn another_leader(cluster: &Cluster, than: usize) -> usize {
    loop {
        let leader = cluster.leader().await.unwrap();
        if leader != than {
            return leader;
        }
    }
}

async fn put(cluster: &mut Cluster, member: usize, value: &str) {
    cluster.member(member).etcdctl(Api::V3, &["put", "k", value]).await.unwrap();
}

async fn get(cluster: &mut Cluster, member: usize) -> String {
    cluster.member(member).etcdctl(Api::V3, &["get", "k", "--print-value-only"]).await.unwrap()
}

#[tokio::test]
async fn of_containers_or_what_there_is() {
    lives(Version::V3_5.into()).await;
}

#[tokio::test]
async fn of_processes() {
    lives(Options::from(Version::V3_4).process()).await;
}

/// An administrator's works: another leader, compacted files, a member that is replaced, a newer version. Nothing is lost.
#[tokio::test]
async fn is_looked_after() {
    let mut cluster = Cluster::start(Options::from(Version::V3_4).process()).await.unwrap();
    let (first, id) = (cluster.leader().await.unwrap(), cluster_id(cluster.member(0)).await);
    put(&mut cluster, first, "1").await;
    let second = cluster.depose().await.unwrap();
    assert_ne!(second, first);
    assert_eq!(cluster.leader().await.unwrap(), second);
    cluster.defragment().await.unwrap();
    cluster.replace(second).await.unwrap();
    for member in 0..3 {
        assert_eq!(get(&mut cluster, member).await, "1", "it has caught up");
    }
    let members = cluster.member(first).etcdctl(Api::V3, &["member", "list"]).await.unwrap();
    assert_eq!(
        members.lines().filter(|line| line.contains("started") && line.ends_with("false")).count(),
        3,
        "{members}"
    );
    cluster.upgrade(Version::V3_5).await.unwrap();
    assert!(cluster.describe().contains("etcd 3.5."), "{}", cluster.describe());
    assert_eq!(cluster_id(cluster.member(0)).await, id, "it is the same cluster");
    put(&mut cluster, first, "2").await;
    assert_eq!(get(&mut cluster, second).await, "2");
}
