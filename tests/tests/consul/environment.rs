//! A machine that is set up for Consul's own tools.

use std::io::Read;
use std::net::TcpListener;
use std::time::Duration;

use cluster_control_tests::{SOON, Sandbox, Signal, eventually};
use test_servers::{ConsulOptions, certificates};

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

/// As Consul's own tools understand them: an address without a scheme, and TLS by another variable.
pub(crate) fn tls(sandbox: &Sandbox) {
    let made = certificates::make(&sandbox.dir()).expect("certificates");
    let consul = start(ConsulOptions::default().tls(&made));
    std::fs::create_dir(sandbox.path("authorities")).expect("a directory");
    std::fs::copy(made.ca(), sandbox.path("authorities/ca.pem")).expect("copied");
    let members = || {
        let launch = sandbox.program(["members", "/clusters/none"]).env("CONSUL_HTTP_SSL", "true");
        launch.env("CONSUL_CAPATH", sandbox.path("authorities"))
    };
    let done = members().env("CONSUL_HTTP_ADDR", consul.endpoint()).finish(SOON);
    assert_eq!((done.code, done.stdout.as_str()), (0, ""), "{done:?}");
    let done = members().env("CONSUL_HTTP_ADDR", format!("http://{}", consul.endpoint())).finish(SOON);
    assert_eq!((done.code, done.stdout.as_str()), (0, ""), "{done:?}");
    // The name that is expected in the certificate.
    let elsewhere = format!("localhost:{}", consul.port());
    let done = members().env("CONSUL_HTTP_ADDR", &elsewhere).env("CONSUL_TLS_SERVER_NAME", "localhost").finish(SOON);
    assert_eq!(done.code, 0, "{done:?}");
    let launch = members().arg("--timeout").arg("1s").env("CONSUL_HTTP_ADDR", &elsewhere);
    let done = launch.env("CONSUL_TLS_SERVER_NAME", "server.dc1.consul").finish(SOON);
    assert_eq!(done.code, 69, "{done:?}");
    assert!(done.stderr.contains("server.dc1.consul"), "{done:?}");
}

/// Whatever listens there is not given the token.
pub(crate) fn not_in_the_clear(sandbox: &Sandbox) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = listener.local_addr().expect("an address").to_string();
    let ask = |url: Option<String>, address: &str| {
        let launch = sandbox.program(["--timeout", "1s", "members", "/clusters/db"]).env("CONSUL_HTTP_TOKEN", TOKEN);
        let launch = launch.env("CONSUL_HTTP_SSL", "true").env("CONSUL_HTTP_ADDR", address);
        match url {
            Some(url) => launch.env("CLUSTER_CONTROL_REGISTRY", url).finish(SOON),
            None => launch.finish(SOON),
        }
    };
    let reader = std::thread::spawn(move || {
        let mut seen = Vec::new();
        listener.set_nonblocking(true).expect("a mode");
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_secs(5) {
            if let Ok((mut stream, _)) = listener.accept() {
                let _ = stream.set_read_timeout(Some(Duration::from_millis(500)));
                let mut part = [0; 4096];
                let count = stream.read(&mut part).unwrap_or(0);
                seen.push(part[..count].to_vec());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        seen
    });
    for address in [endpoint.clone(), format!("http://{endpoint}")] {
        let done = ask(None, &address);
        assert_eq!(done.code, 69, "{done:?}");
    }
    for (url, address) in [(format!("consul://{endpoint}"), "h"), (format!("consul-kv://{endpoint}"), "h")] {
        let done = ask(Some(url), address);
        assert_eq!(done.code, 78, "{done:?}");
        assert!(done.stderr.contains("CONSUL_HTTP_SSL") && !done.stderr.contains(TOKEN), "{done:?}");
    }
    let seen = reader.join().expect("read");
    assert!(!seen.is_empty(), "nobody came");
    for request in seen {
        // A TLS handshake.
        assert_eq!(request.first(), Some(&0x16), "{:?}", String::from_utf8_lossy(&request));
    }
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
