//! Services in the catalog.

use std::sync::Arc;
use std::time::Duration;

use registry_consul::{Address, CATALOG, connect};
use registry_core::{Condition, ErrorKind, Registry, RegistryExt, Scope};
use test_servers::{Consul, ConsulOptions};
use tokio::time::{Instant, sleep};

use crate::support::{bytes, dir, key, next, options, raw, services, shared, start, text, told};

/// The names and values of a scope.
async fn listed(registry: &dyn Registry, scope: &Scope) -> Vec<String> {
    let snapshot = registry.list(scope).await.expect("listed");
    snapshot.entries.iter().map(|entry| format!("{}={}", entry.name, String::from_utf8_lossy(&entry.value))).collect()
}

async fn gone_within(registry: &dyn Registry, scope: &Scope, limit: Duration) -> Duration {
    let begun = Instant::now();
    while !listed(registry, scope).await.is_empty() {
        assert!(begun.elapsed() < limit, "still there after {limit:?}");
        sleep(Duration::from_millis(50)).await;
    }
    begun.elapsed()
}

/// c-10: a service is well from the first moment, stands where Consul's users look, and goes when its time is over.
#[tokio::test]
async fn a_service_stands_in_the_catalog_for_its_time() {
    let consul = shared().await;
    let registry = services(consul);
    let value = r#"{"tags":["v1"],"meta":{"zone":"a"}}"#;
    let lease =
        registry.register(&key("/clusters/web/10.0.0.7:80"), bytes(value), &options()).await.expect("registered");
    assert_eq!(listed(&registry, &dir("/clusters/web")).await, [format!("10.0.0.7:80={value}")]);
    assert_eq!(listed(&registry, &Scope::from(key("/clusters/web/10.0.0.7:80"))).await.len(), 1);
    assert_eq!(listed(&registry, &Scope::from(key("/clusters/web/10.0.0.7:8"))).await, [""; 0]);
    let shown: String = raw(consul, "GET", "/v1/catalog/service/web", "").await.split_whitespace().collect();
    for part in [r#""ServiceAddress":"10.0.0.7""#, r#""ServicePort":80"#, r#""ServiceTags":["v1"]"#, r#""zone":"a""#] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    sleep(Duration::from_secs(4)).await;
    registry.renew(&lease).await.expect("renewed");
    sleep(Duration::from_secs(8)).await;
    assert_eq!(listed(&registry, &dir("/clusters/web")).await.len(), 1, "it went before its time");
    gone_within(&registry, &dir("/clusters/web"), Duration::from_secs(8)).await;
    // A late renewal makes it well again: the agent still knows it.
    registry.renew(&lease).await.expect("renewed");
    registry.deregister(&lease).await.expect("released");
    assert_eq!(raw(consul, "GET", "/v1/catalog/service/web", "").await.trim(), "[]");
    assert_eq!(registry.renew(&lease).await.expect_err("gone").kind(), ErrorKind::LeaseLost);
    registry.deregister(&lease).await.expect("gone already");
}

/// Other people's services are listed: by where they listen, with their tags and metadata; only those that are well.
#[tokio::test]
async fn services_of_others_are_listed() {
    let consul = shared().await;
    let registry = services(consul);
    let start = registry.list(&dir("/any/db")).await.expect("listed").index;
    let mut watch = registry.watch(&dir("/any/db"), start).await.expect("watched");
    let theirs = r#"{"ID":"db1","Name":"db","Address":"10.1.0.1","Port":5432,"Tags":["primary"],"Meta":{"k":"v"}}"#;
    raw(consul, "PUT", "/v1/agent/service/register", theirs).await;
    let ill = r#"{"ID":"db2","Name":"db","Address":"10.1.0.2","Port":5432,"Check":{"TTL":"60s"}}"#;
    raw(consul, "PUT", "/v1/agent/service/register", ill).await;
    assert_eq!(told(&mut watch).await, [r#"+10.1.0.1:5432={"meta":{"k":"v"},"tags":["primary"]}"#]);
    raw(consul, "PUT", "/v1/agent/check/pass/service:db2", "").await;
    assert_eq!(told(&mut watch).await, [r#"+10.1.0.2:5432={"meta":{},"tags":[]}"#]);
    raw(consul, "PUT", "/v1/agent/check/fail/service:db2", "").await;
    assert_eq!(told(&mut watch).await, ["-10.1.0.2:5432"]);
    raw(consul, "PUT", "/v1/agent/service/deregister/db1", "").await;
    assert_eq!(told(&mut watch).await, ["-10.1.0.1:5432"]);
}

#[tokio::test]
async fn an_update_is_told_and_keeps_the_token() {
    let consul = shared().await;
    let registry = services(consul);
    let place = key("/a/updated/h:1");
    let lease = registry.register(&place, bytes("1"), &options()).await.expect("registered");
    let start = registry.list(&Scope::from(&place)).await.expect("listed").index;
    let mut watch = registry.watch(&Scope::from(&place), start).await.expect("watched");
    registry.register(&key("/a/updated/h:2"), bytes("other"), &options()).await.expect("registered");
    let lease = registry.update(&lease, bytes("2")).await.expect("updated");
    assert_eq!(told(&mut watch).await, ["+h:1=2"]);
    assert_eq!(registry.list(&Scope::from(&place)).await.expect("listed").entries[0].index, lease.token());
    assert!(next(&mut watch).await.expect("a sign of life").changes.is_empty());
}

/// c-10: of two processes with one name neither harms the other's service; the younger is listed.
#[tokio::test]
async fn an_identity_is_never_shared() {
    let consul = shared().await;
    let (one, two) = (services(consul), services(consul));
    let first = one.register(&key("/a/identity/h:1"), bytes("first"), &options()).await.expect("registered");
    let second = two.register(&key("/a/identity/h:1"), bytes("second"), &options()).await.expect("registered");
    assert!(second.token().position() > first.token().position());
    assert_eq!(listed(&one, &dir("/a/identity")).await, ["h:1=second"]);
    one.deregister(&first).await.expect("released");
    assert_eq!(listed(&one, &dir("/a/identity")).await, ["h:1=second"], "it took only its own away");
    two.renew(&second).await.expect("undisturbed");
}

/// An administrator's eviction is final for the owner.
#[tokio::test]
async fn an_eviction_is_found_by_the_owner() {
    let consul = shared().await;
    let (owner, administrator) = (services(consul), services(consul));
    let lease = owner.register(&key("/a/evicted/h:1"), bytes("1"), &options()).await.expect("registered");
    assert!(administrator.remove(&key("/a/evicted/h:1")).await.expect("removed"));
    assert_eq!(listed(&owner, &dir("/a/evicted")).await, [""; 0]);
    assert!(!administrator.remove(&key("/a/evicted/h:1")).await.expect("it was gone"));
    assert_eq!(owner.renew(&lease).await.expect_err("evicted").kind(), ErrorKind::Evicted);
    assert_eq!(owner.update(&lease, bytes("2")).await.expect_err("evicted").kind(), ErrorKind::Evicted);
    owner.deregister(&lease).await.expect("released");
    assert_eq!(raw(consul, "GET", "/v1/catalog/service/evicted", "").await.trim(), "[]");
}

/// What is registered with another agent cannot be evicted here: that agent would register it again.
#[tokio::test]
async fn a_service_of_another_agent_is_not_evicted_in_vain() {
    let consul = shared().await;
    let elsewhere =
        r#"{"Node":"two","Address":"10.0.0.2","Service":{"Service":"remote","ID":"w","Address":"h","Port":1}}"#;
    raw(consul, "PUT", "/v1/catalog/register", elsewhere).await;
    let error = services(consul).remove(&key("/a/remote/h:1")).await.expect_err("not here");
    assert!(error.kind() == ErrorKind::Unsupported && error.to_string().contains("node two"), "{error}");
}

/// An agent that was wiped has forgotten the service: it is registered again.
#[tokio::test]
async fn an_announced_service_survives_the_loss_of_its_agent() {
    let mut consul = start(ConsulOptions::default()).await;
    let registry = Arc::new(services(&consul));
    let options = options().renew_every(Duration::from_secs(1));
    let registration = registry.announce(key("/a/web/h:1"), bytes("1"), options).await.expect("announced");
    consul.wipe().await.expect("another life");
    let begun = Instant::now();
    while consul_services(&consul).await != 1 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", registration.status());
        sleep(Duration::from_millis(100)).await;
    }
    registration.deregister().await.expect("released");
    assert_eq!(consul_services(&consul).await, 0);
}

async fn consul_services(consul: &Consul) -> usize {
    raw(consul, "GET", "/v1/health/service/web?passing", "").await.matches("\"ServiceName\":\"web\"").count()
}

/// Conditions, large values and nested names are refused before any request.
#[tokio::test]
async fn what_the_catalog_cannot_do_is_refused() {
    let nobody = format!("127.0.0.1:{}", test_servers::free_port());
    let registry = connect(Address::new(&CATALOG, [nobody])).expect("a configuration");
    let absent = options().condition(Condition::Absent);
    let kind = async |path: &str, value: &str, options: &registry_core::RegisterOptions| {
        registry.register(&key(path), bytes(value), options).await.expect_err(path).kind()
    };
    assert_eq!(kind("/a/web/h:1", "", &absent).await, ErrorKind::Unsupported);
    assert_eq!(kind("/a/web/h:1", &"x".repeat(513), &options()).await, ErrorKind::InvalidInput);
    let nested = registry_core::Dir::new("/a/web").expect("valid").key("x/y").expect("valid");
    let error = registry.register(&nested, bytes(""), &options()).await.expect_err("nested");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

/// The prefix of the URL stands before the name.
#[tokio::test]
async fn a_prefix_keeps_teams_apart() {
    let consul = shared().await;
    let address = Address::new(&CATALOG, [consul.endpoint()]).prefix("/team");
    let registry = connect(address).expect("a configuration");
    registry.register(&key("/a/teams/h:1"), bytes("1"), &options()).await.expect("registered");
    let shown = raw(consul, "GET", "/v1/catalog/service/team-teams", "").await;
    assert_eq!(text(&shown, "ServiceName"), "team-teams");
    assert_eq!(listed(&services(consul), &dir("/a/teams")).await, [""; 0]);
}
