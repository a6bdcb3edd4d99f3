//! A machine that is set up for Consul's own tools.

use cluster_control_tests::{SOON, Sandbox, Signal, eventually};
use test_servers::ConsulOptions;

use crate::server::{ask, stands, start};

const TOKEN: &str = "11111111-2222-3333-4444-555555555555";

pub(crate) fn variables(sandbox: &Sandbox) {
    let consul = start(ConsulOptions::default().access_control(TOKEN));
    let theirs = r#"{"ID":"db1","Name":"db","Address":"10.1.0.1","Port":5432}"#;
    ask(&consul, "PUT", "/v1/agent/service/register", theirs);
    let file = sandbox.write("token", format!("{TOKEN}\n"));
    let members = || sandbox.program(["members", "/clusters/db"]).env("CONSUL_HTTP_ADDR", consul.endpoint());
    for launch in [members().env("CONSUL_HTTP_TOKEN", TOKEN), members().env("CONSUL_HTTP_TOKEN_FILE", &file)] {
        let done = launch.finish(SOON);
        assert_eq!((done.code, done.stdout.as_str()), (0, "10.1.0.1:5432\n"), "{done:?}");
        assert!(!done.stderr.contains(TOKEN));
    }
    // A URL says more than a variable, and takes what it does not say from it.
    ask(&consul, "PUT", "/v1/kv/clusters/db/one", "1");
    let url = format!("consul-kv://{}", consul.endpoint());
    let done = members().env("CLUSTER_CONTROL_REGISTRY", url).env("CONSUL_HTTP_TOKEN", TOKEN).finish(SOON);
    assert_eq!((done.code, done.stdout.as_str()), (0, "one\n"), "{done:?}");
}

/// Refused is not empty, with either face.
pub(crate) fn without_a_token(sandbox: &Sandbox) {
    let consul = start(ConsulOptions::default().access_control(TOKEN));
    for scheme in ["consul", "consul-kv"] {
        for token in ["", "99999999-0000-0000-0000-000000000000"] {
            let done = sandbox
                .program(["members", "/clusters/db"])
                .env("CLUSTER_CONTROL_REGISTRY", format!("{scheme}://{}", consul.endpoint()))
                .env("CONSUL_HTTP_TOKEN", token)
                .finish(SOON);
            assert_eq!((done.code, done.stdout.as_str()), (77, ""), "{scheme} {token:?}: {done:?}");
            assert!(done.stderr.contains("token") && (token.is_empty() || !done.stderr.contains(token)), "{done:?}");
        }
    }
}

/// A token that may see less than all is told which permission it lacks, by whatever lists and by what registers.
pub(crate) fn with_a_token_that_sees_a_part(sandbox: &Sandbox) {
    let consul = start(ConsulOptions::default().access_control(TOKEN));
    let rules = r#"service \"db\" { policy = \"write\" } agent_prefix \"\" { policy = \"read\" }"#;
    ask(&consul, "PUT", "/v1/acl/policy", &format!(r#"{{"Name":"db","Rules":"{rules}"}}"#));
    let made = ask(&consul, "PUT", "/v1/acl/token", r#"{"Policies":[{"Name":"db"}]}"#);
    let token = made.split("\"SecretID\":").nth(1).and_then(|rest| rest.split('"').nth(1)).expect("a token").to_owned();
    let theirs = r#"{"ID":"db1","Name":"db","Address":"10.1.0.1","Port":5432}"#;
    ask(&consul, "PUT", "/v1/agent/service/register", theirs);
    let url = format!("consul://{}", consul.endpoint());
    let lacks = r#"node_prefix "" { policy = "read" }"#;
    let program = |arguments: &[&str]| {
        sandbox.program(arguments).env("CLUSTER_CONTROL_REGISTRY", &url).env("CONSUL_HTTP_TOKEN", &token)
    };
    for arguments in [
        vec!["members", "db"],
        vec!["wait", "db", "--timeout", "20s"],
        vec!["register", "--cluster", "db", "--id", "10.1.0.2:5432"],
    ] {
        let done = program(&arguments).finish(SOON);
        assert_eq!((done.code, done.stdout.as_str()), (77, ""), "{arguments:?}: {done:?}");
        assert!(done.stderr.contains(lacks) && !done.stderr.contains(&token), "{arguments:?}: {done:?}");
    }
    // What serves without the registry as well goes on trying, and says why it is not registered.
    let mut run = program(&["run", "--cluster", "db", "--id", "10.1.0.2:5432", "--", "sleep", "1000"]).start();
    eventually(SOON, "it says what it lacks", || run.stderr().contains(lacks));
    run.signal(Signal::TERM);
    run.wait(SOON);
    assert!(!stands(&consul, "db", "10.1.0.2") && !run.stderr().contains(&token), "{}", run.stderr());
}
