//! `consul://`: members are services.

use cluster_control_tests::{SOON, Sandbox, Signal, eventually};
use test_servers::ConsulOptions;

use crate::server::{ask, is_empty, stands, start};

fn program(sandbox: &Sandbox, url: &str, arguments: &[&str]) -> cluster_control_tests::Launch {
    sandbox.program(arguments).env("CLUSTER_CONTROL_REGISTRY", url)
}

/// What the program registers stands where Consul's users look, and goes with it.
pub(crate) fn members_are_services(sandbox: &Sandbox) {
    let consul = start(ConsulOptions::default());
    let url = format!("consul://{}", consul.endpoint());
    let value = r#"{"tags":["v1"]}"#;
    let arguments = ["register", "--cluster", "web", "--id", "10.0.0.7:80", "--value", value];
    let mut registered = program(sandbox, &url, &arguments).start();
    eventually(SOON, "the service stands", || stands(&consul, "web", r#""Port":80"#));
    assert!(stands(&consul, "web", r#""Address":"10.0.0.7""#) && stands(&consul, "web", r#""Tags":["v1"]"#));
    let done = program(sandbox, &url, &["members", "web"]).finish(SOON);
    assert_eq!((done.code, done.stdout.as_str()), (0, "10.0.0.7:80\n"), "{done:?}");
    registered.signal(Signal::TERM);
    registered.wait(SOON);
    eventually(SOON, "it is gone from the catalog", || is_empty(&consul, "web"));
}

/// What others have registered with the agent is watched.
pub(crate) fn services_of_others(sandbox: &Sandbox) {
    let consul = start(ConsulOptions::default());
    let url = format!("consul://{}", consul.endpoint());
    let watch = program(sandbox, &url, &["watch", "db"]).start();
    eventually(SOON, "the first state", || watch.stdout().contains("snapshot"));
    let theirs = r#"{"ID":"db1","Name":"db","Address":"10.1.0.1","Port":5432,"Tags":["primary"]}"#;
    ask(&consul, "PUT", "/v1/agent/service/register", theirs);
    eventually(SOON, "it is told", || watch.stdout().contains("10.1.0.1:5432"));
    ask(&consul, "PUT", "/v1/agent/service/deregister/db1", "");
    eventually(SOON, "it is told to be gone", || watch.stdout().matches("10.1.0.1:5432").count() == 2);
}

pub(crate) fn evicted(sandbox: &Sandbox) {
    let consul = start(ConsulOptions::default());
    let url = format!("consul://{}", consul.endpoint());
    let arguments = ["run", "--cluster", "web", "--id", "10.0.0.7:80", "--ttl", "10s", "--", "sleep", "1000"];
    let mut run = program(sandbox, &url, &arguments).start();
    eventually(SOON, "the service stands", || stands(&consul, "web", r#""Port":80"#));
    let done = program(sandbox, &url, &["evict", "web", "10.0.0.7:80"]).finish(SOON);
    assert_eq!(done.code, 0, "{done:?}");
    // The agent tells the catalog in its own time.
    eventually(SOON, "it is gone for others", || !stands(&consul, "web", r#""Port":80"#));
    assert_eq!(run.wait(SOON), 3, "{}", run.stderr());
    eventually(SOON, "it is gone from the catalog", || is_empty(&consul, "web"));
}

/// Nothing in the catalog can be owned: a lock there would be held by two. On the same server's keys it works.
pub(crate) fn a_lock_needs_keys(sandbox: &Sandbox) {
    let consul = start(ConsulOptions::default());
    let lock = |scheme: &str| {
        let url = format!("{scheme}://{}", consul.endpoint());
        program(sandbox, &url, &["lock", "it", "--", "sh", "-c", "echo $CLUSTER_CONTROL_TOKEN"]).finish(SOON)
    };
    let refused = lock("consul");
    assert!(refused.code != 0 && refused.stdout.is_empty(), "{refused:?}");
    assert!(refused.stderr.contains("no locks"), "{refused:?}");
    let [first, second] = [lock("consul-kv"), lock("consul-kv")].map(|done| {
        assert_eq!(done.code, 0, "{done:?}");
        done.stdout.trim().parse::<u64>().expect("a token")
    });
    assert!(first < second);
}
