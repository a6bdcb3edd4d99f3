//! Tokens that may see less than all: Consul answers them 200 and a shorter list.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use registry_consul::{Address, CATALOG, Catalog, Config, KV, Kv, connect, connect_kv};
use registry_core::{Dir, Error, ErrorKind, Event, Key, Registry, RegistryExt, Scope, Subscription};
use test_servers::{Consul, ConsulOptions};
use tokio::time::{Instant, timeout};

use crate::support::{Scripted, answer, bytes, dir, key, next, options, pair, raw, shared, start, text, told};

const MASTER: &str = "11111111-2222-3333-4444-555555555555";
const NODES: &str = r#"node_prefix "" { policy = "read" }"#;
const AGENTS: &str = r#"agent_prefix "" { policy = "read" }"#;

async fn guarded() -> Consul {
    start(ConsulOptions::default().access_control(MASTER)).await
}

/// A policy with these rules, or these rules in the place of those that it has.
async fn policy(consul: &Consul, name: &str, id: &str, rules: &str) -> String {
    let rules = rules.replace('"', "\\\"");
    let path = if id.is_empty() { "/v1/acl/policy".to_owned() } else { format!("/v1/acl/policy/{id}") };
    let made = raw(consul, "PUT", &path, &format!(r#"{{"Name":"{name}","Rules":"{rules}"}}"#)).await;
    text(&made, "ID").to_owned()
}

async fn token_of(consul: &Consul, policy: &str) -> String {
    let made = raw(consul, "PUT", "/v1/acl/token", &format!(r#"{{"Policies":[{{"Name":"{policy}"}}]}}"#)).await;
    text(&made, "SecretID").to_owned()
}

/// A registry as somebody who may do what these rules say.
async fn services(consul: &Consul, name: &str, rules: &str) -> Catalog {
    policy(consul, name, "", rules).await;
    let config = Config::from(Address::new(&CATALOG, [consul.endpoint()]));
    connect(config.token(token_of(consul, name).await.as_str())).expect("a configuration")
}

async fn keys(consul: &Consul, name: &str, rules: &str) -> Kv {
    policy(consul, name, "", rules).await;
    let config = Config::from(Address::new(&KV, [consul.endpoint()]));
    connect_kv(config.token(token_of(consul, name).await.as_str())).expect("a configuration")
}

fn assert_needs(error: &Error, rule: &str, what: &str) {
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{what}: {error}");
    assert!(error.to_string().contains(rule), "{what}: {error}");
}

/// Rules by which a token sees none or a part of the instances of `web`, and what they lack.
const PARTIAL: [(&str, &str, &str); 5] = [
    ("no_node", r#"service "web" { policy = "write" }"#, NODES),
    ("one_node", r#"service "web" { policy = "write" } node "one" { policy = "read" }"#, NODES),
    ("some_nodes", r#"service "web" { policy = "write" } node_prefix "o" { policy = "read" }"#, NODES),
    ("no_service", NODES, r#"service "web" { policy = "read" }"#),
    (
        "other_services",
        r#"service_prefix "d" { policy = "write" } node_prefix "" { policy = "read" }"#,
        "service \"web\"",
    ),
];

async fn a_token_that_sees_a_part(options: ConsulOptions) {
    let consul = start(options.access_control(MASTER)).await;
    let theirs = r#"{"ID":"web1","Name":"web","Address":"10.1.0.1","Port":80}"#;
    raw(&consul, "PUT", "/v1/agent/service/register", theirs).await;
    let elsewhere =
        r#"{"Node":"two","Address":"10.0.0.2","Service":{"Service":"web","ID":"w","Address":"10.1.0.2","Port":80}}"#;
    raw(&consul, "PUT", "/v1/catalog/register", elsewhere).await;
    for (name, rules, lacks) in PARTIAL {
        let registry = services(&consul, name, rules).await;
        let error = registry.list(&dir("/a/web")).await.expect_err(name);
        assert_needs(&error, lacks, name);
        assert_needs(&registry.list(&key("/a/web/10.1.0.1:80").into()).await.expect_err(name), lacks, name);
        assert_needs(&registry.remove(&key("/a/web/10.1.0.2:80")).await.expect_err(name), lacks, name);
        let watched = registry.watch(&dir("/a/web"), registry_core::Index::new(1, 5)).await;
        assert_needs(&watched.err().expect("no watch"), lacks, name);
    }
    let all = format!(r#"service "web" {{ policy = "read" }} {NODES}"#);
    let whole = services(&consul, "all", &all).await;
    assert_eq!(whole.list(&dir("/a/web")).await.expect("everything").entries.len(), 2);
    let open = start(ConsulOptions::default()).await;
    let address = Address::new(&CATALOG, [open.endpoint()]);
    assert_eq!(
        connect(address).expect("a configuration").list(&dir("/a/web")).await.expect("permitted").entries.len(),
        0
    );
}

/// C-20: a shorter list is never taken for the whole, and the error names the permission that is missing.
#[tokio::test]
async fn a_token_that_sees_a_part_is_refused() {
    a_token_that_sees_a_part(ConsulOptions::default()).await;
}

/// The same where agents answer nothing about coordinates, by which nodes are tried.
#[tokio::test]
async fn a_token_that_sees_a_part_is_refused_without_coordinates() {
    a_token_that_sees_a_part(ConsulOptions::default().setting("disable_coordinates = true")).await;
    // Without access control everybody sees everything.
    let open = start(ConsulOptions::default().setting("disable_coordinates = true")).await;
    let registry = connect(Address::new(&CATALOG, [open.endpoint()])).expect("a configuration");
    assert_eq!(registry.list(&dir("/a/web")).await.expect("permitted").entries.len(), 0);
}

/// Whoever cannot see what it registers says so at once, and leaves nothing behind.
#[tokio::test]
async fn a_registration_that_cannot_be_seen_is_refused() {
    let consul = guarded().await;
    let cases = [
        ("no_node", format!(r#"service "web" {{ policy = "write" }} {AGENTS}"#), NODES),
        (
            "reader",
            format!(r#"service "web" {{ policy = "read" }} {NODES} {AGENTS}"#),
            r#"service "web" { policy = "write" }"#,
        ),
    ];
    for (name, rules, lacks) in cases {
        let registry = services(&consul, name, &rules).await;
        let begun = Instant::now();
        let error = registry.register(&key("/a/web/h:1"), bytes("1"), &options()).await.expect_err(name);
        assert_needs(&error, lacks, name);
        assert!(begun.elapsed() < Duration::from_secs(3), "{name}: {:?}", begun.elapsed());
        assert_eq!(raw(&consul, "GET", "/v1/agent/services", "").await.trim(), "{}", "{name}");
    }
}

/// The same for keys: a rule for one key, or for other keys, shows a part of a directory.
#[tokio::test]
async fn a_token_that_sees_some_keys_is_refused() {
    let consul = guarded().await;
    raw(&consul, "PUT", "/v1/kv/a/web/one", "1").await;
    raw(&consul, "PUT", "/v1/kv/a/web/two", "1").await;
    let cases = [
        ("none", r#"key_prefix "b/" { policy = "write" }"#),
        ("one", r#"key "a/web/one" { policy = "write" }"#),
        ("folder", r#"key "a/web/one" { policy = "read" } key "a/web/" { policy = "read" }"#),
        ("some", r#"key_prefix "a/web/o" { policy = "write" }"#),
    ];
    for (name, rules) in cases {
        let registry = keys(&consul, name, rules).await;
        let error = registry.list(&dir("/a/web")).await.expect_err(name);
        assert_needs(&error, r#"key_prefix "a/web/" { policy = "read" }"#, name);
    }
    let one = keys(&consul, "one-entry", r#"key "a/web/one" { policy = "read" }"#).await;
    assert_eq!(one.list(&key("/a/web/one").into()).await.expect("this one may be read").entries.len(), 1);
    let reader = keys(&consul, "reader", r#"key_prefix "a/web/" { policy = "read" }"#).await;
    assert_eq!(reader.list(&dir("/a/web")).await.expect("everything").entries.len(), 2);
    let error = reader.register(&key("/a/web/three"), bytes("1"), &options()).await.expect_err("no session");
    assert_needs(&error, r#"session_prefix "" { policy = "write" }"#, "reader");
    let rules = r#"key_prefix "a/web/" { policy = "read" } session_prefix "" { policy = "write" }"#;
    let error = keys(&consul, "sessions", rules).await.register(&key("/a/web/three"), bytes("1"), &options()).await;
    assert_needs(&error.expect_err("no key"), r#"key "a/web/three" { policy = "write" }"#, "sessions");
}

/// The names that are there, as one subscription sees them; until it is interrupted by a refusal, or sees this name.
async fn follow(events: &mut Subscription, view: &mut Vec<String>, until: Option<&str>) -> Option<Error> {
    loop {
        if until.is_some_and(|name| view.iter().any(|there| there == name)) {
            return None;
        }
        let event = timeout(Duration::from_mins(1), events.next()).await.expect("an event");
        match event.expect("no end").expect("no permanent error") {
            Event::Snapshot { snapshot, .. } => {
                *view = snapshot.entries.iter().map(|entry| entry.name.to_string()).collect();
            }
            Event::Changes(batch) => {
                for change in &batch.changes {
                    view.retain(|name| name != change.name().as_str());
                    if let registry_core::Change::Put(entry) = change {
                        view.push(entry.name.to_string());
                    }
                }
            }
            Event::Interrupted { error, .. } if until.is_none() => return Some(error),
            Event::Interrupted { .. } | Event::Resumed { .. } => {}
        }
    }
}

/// A policy that shrinks moves no index: the next answer is shorter. That is a refusal, and nobody has gone.
async fn a_policy_that_shrinks<R: Registry + 'static>(
    consul: &Consul,
    registry: Arc<R>,
    (name, whole, part, lacks): (&str, &str, &str, &str),
    add: impl AsyncFn(&str),
) {
    let listed = raw(consul, "GET", "/v1/acl/policies", "").await;
    let before = listed.split(&format!("\"{name}\"")).next().expect("the list of policies");
    let id = before.rsplit("\"ID\":").next().map(|rest| rest.trim().trim_start_matches('"').split('"').next());
    let id = id.flatten().expect("the policy's identity").to_owned();
    add("h:1").await;
    let (mut events, mut view) = (registry.subscribe(Dir::new("/a/web").expect("valid")), Vec::new());
    assert!(follow(&mut events, &mut view, Some("h:1")).await.is_none());
    policy(consul, name, &id, part).await;
    let error = follow(&mut events, &mut view, None).await.expect("a refusal");
    assert_needs(&error, lacks, name);
    assert_eq!(view, ["h:1"], "a refusal was taken for an absence");
    policy(consul, name, &id, whole).await;
    add("h:2").await;
    follow(&mut events, &mut view, Some("h:2")).await;
    assert!(view.iter().any(|there| there == "h:1"), "{view:?}");
}

#[tokio::test]
async fn a_policy_that_shrinks_under_a_watch_of_services() {
    let consul = guarded().await;
    let whole = format!(r#"service "web" {{ policy = "write" }} {NODES} {AGENTS}"#);
    let less = format!(r#"service "web" {{ policy = "write" }} {AGENTS}"#);
    let registry = Arc::new(services(&consul, "web", &whole).await);
    let add = async |name: &str| {
        let (host, port) = name.split_once(':').expect("a port");
        let theirs = format!(r#"{{"ID":"{name}","Name":"web","Address":"{host}","Port":{port}}}"#);
        raw(&consul, "PUT", "/v1/agent/service/register", &theirs).await;
    };
    a_policy_that_shrinks(&consul, registry, ("web", &whole, &less, NODES), add).await;
}

#[tokio::test]
async fn a_policy_that_shrinks_under_a_watch_of_keys() {
    let consul = guarded().await;
    let whole = r#"key_prefix "a/web/" { policy = "read" }"#;
    let part = r#"key_prefix "a/web/x" { policy = "read" }"#;
    let registry = Arc::new(keys(&consul, "web", whole).await);
    let add = async |name: &str| {
        raw(&consul, "PUT", &format!("/v1/kv/a/web/{name}"), "1").await;
    };
    a_policy_that_shrinks(&consul, registry, ("web", whole, part, whole), add).await;
}

/// From 1.11 on the server says that it has left something out, also what no question finds: one key of many.
#[tokio::test]
async fn a_list_that_the_server_calls_filtered_is_refused() {
    let server = Scripted::start(|line, _| {
        let body = if line.contains("/v1/kv/") { format!("[{}]", pair("a/b", 1)) } else { "[]".to_owned() };
        answer("200 OK", Some(7), &body).replacen("\r\n", "\r\nX-Consul-Results-Filtered-By-ACLs: true\r\n", 1)
    })
    .await;
    let keys = connect_kv(Address::new(&KV, [server.endpoint()])).expect("a configuration");
    let error = keys.list(&dir("/a")).await.expect_err("filtered");
    assert_needs(&error, r#"key_prefix "a/" { policy = "read" }"#, "keys");
    let services = connect(Address::new(&CATALOG, [server.endpoint()])).expect("a configuration");
    let error = services.list(&dir("/a")).await.expect_err("filtered");
    assert_needs(&error, NODES, "services");
}

/// Something else at the same index is told once, as another history, and then is what there is.
#[tokio::test]
async fn an_answer_that_changes_without_its_index_is_told_once() {
    let more = Arc::new(AtomicBool::new(false));
    let is_more = Arc::clone(&more);
    let server = Scripted::start(move |line, _| {
        if line.contains("index=") {
            std::thread::sleep(Duration::from_millis(20));
        }
        let more = if is_more.load(Ordering::SeqCst) { format!(",{}", pair("a/c", 3)) } else { String::new() };
        answer("200 OK", Some(7), &format!("[{}{more}]", pair("a/b", 3)))
    })
    .await;
    let registry = connect_kv(Address::new(&KV, [server.endpoint()])).expect("a configuration");
    let first = registry.list(&dir("/a")).await.expect("listed").index;
    let mut watch = registry.watch(&dir("/a"), first).await.expect("watched");
    assert_eq!(next(&mut watch).await.expect("a sign of life").changes, []);
    more.store(true, Ordering::SeqCst);
    let error = loop {
        match next(&mut watch).await {
            Ok(batch) => assert_eq!(batch.changes, []),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Compacted, "{error}");
    let listed = registry.list(&dir("/a")).await.expect("listed");
    assert_eq!(listed.entries.len(), 2);
    assert!(!listed.index.same_epoch(first), "{:#} is of the epoch of {first:#}", listed.index);
    let mut watch = registry.watch(&dir("/a"), listed.index).await.expect("watched");
    for _ in 0..5 {
        assert_eq!(next(&mut watch).await.expect("no second gap").changes, []);
    }
}

/// An agent that is behind refuses a new token. Another agent may know it.
#[tokio::test]
async fn one_refusal_is_not_that_of_all() {
    let refuses = Scripted::start(|_, _| answer("403 Forbidden", None, "ACL not found")).await;
    let serves = Scripted::start(|_, _| answer("200 OK", Some(7), &format!("[{}]", pair("a/b", 1)))).await;
    let at = |endpoints: [String; 2]| {
        let config = Config::from(Address::new(&KV, endpoints));
        connect_kv(config.token("t")).expect("a configuration")
    };
    let registry = at([refuses.endpoint(), serves.endpoint()]);
    assert_eq!(registry.list(&dir("/a")).await.expect("the second one").entries.len(), 1);
    let before = refuses.seen().len();
    assert_eq!(registry.list(&dir("/a")).await.expect("the second one").entries.len(), 1);
    assert_eq!(refuses.seen().len(), before, "the one that answered is asked first");
    // When nobody accepts us, or only one is there to say so, that is what is told.
    let nobody = format!("127.0.0.1:{}", test_servers::free_port());
    for second in [refuses.endpoint(), nobody] {
        let error = at([refuses.endpoint(), second]).list(&dir("/a")).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error}");
    }
}

/// C-21: Consul finds `Web` for whoever asks for `web`.
#[tokio::test]
async fn a_name_of_other_case_is_another_service() {
    let consul = shared().await;
    let registry = connect(Address::new(&CATALOG, [consul.endpoint()])).expect("a configuration");
    let place = |name: &str| -> Key { key(&format!("/a/{name}/{name}:1")) };
    let scope = |name: &str| -> Scope { dir(&format!("/a/{name}")) };
    let start = registry.list(&scope("case")).await.expect("listed").index;
    let mut watch = registry.watch(&scope("case"), start).await.expect("watched");
    let upper = registry.register(&place("Case"), bytes("1"), &options()).await.expect("registered");
    let lower = registry.register(&place("case"), bytes("1"), &options()).await.expect("registered");
    assert_eq!(told(&mut watch).await, ["+case:1=1"], "members of another service");
    for (name, expected) in [("case", vec!["case:1"]), ("Case", vec!["Case:1"]), ("CASE", vec![])] {
        let listed = registry.list(&scope(name)).await.expect("listed");
        assert_eq!(listed.entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), expected, "{name}");
    }
    assert!(!registry.remove(&key("/a/CASE/case:1")).await.expect("nobody there"));
    registry.deregister(&upper).await.expect("released");
    registry.renew(&lower).await.expect("undisturbed");
    registry.deregister(&lower).await.expect("released");
}
