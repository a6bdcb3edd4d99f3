//! Ten thousand members: slow is allowed, wrong is not.

use std::collections::BTreeSet;
use std::time::Duration;

use cluster_control_tests::{Backend, Context, SOON, Sandbox, block_on, eventually};
use registry::{Key, RegisterOptions};
use serde_json::{Value, json};
use test_servers::http;
use tokio::task::JoinSet;

const MEMBERS: usize = 10_000;
/// The shared machine of the tests is slow, and the program is not optimised. What is quadratic takes far longer.
const IN_TIME: Duration = Duration::from_secs(40);

pub(crate) fn ten_thousand_members(context: &Context) {
    let mut names: Vec<_> = (0..MEMBERS).map(name).collect();
    fill(context, &names);
    names.sort();
    let db = context.at("db");

    let done = context.program(["--registry", &context.url(), "members", &db]).finish(IN_TIME);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stdout.lines().eq(names.iter().map(String::as_str)), "{} lines", done.stdout.lines().count());

    context.write(
        "cluster-control.toml",
        format!(
            "[registry]\nurl = \"{}\"\n[[watch]]\nname = \"db\"\npath = \"{db}\"\n\
             [[file]]\nkind = \"json\"\nwatch = [\"db\"]\ndest = \"db.json\"\n\
             [[file]]\nkind = \"template\"\nsrc = \"list.j2\"\nwatch = [\"db\"]\ndest = \"list.txt\"\n",
            context.url()
        ),
    );
    context.write("list.j2", "{% for m in members %}\n{{ m.host }}:{{ m.port }}\n{% endfor %}\n");
    let mut run = context.program(["run", "--", "bash", "-c", "touch started; exec sleep 1000"]).start();
    eventually(IN_TIME, "the child starts", || context.read("started").is_some());
    assert_eq!(file(context), names);
    assert_eq!(context.lines("list.txt"), MEMBERS);

    let new = "192.168.0.1:80".to_owned();
    context.witness.put(&format!("{db}/{new}"), "0");
    names.push(new);
    names.sort();
    eventually(IN_TIME, "the change is written", || file(context) == names);
    eventually(IN_TIME, "to both", || context.lines("list.txt") == MEMBERS + 1);
    assert!(run.is_running());
}

/// A variable may hold 128 KiB.
pub(crate) fn in_a_variable(sandbox: &Sandbox) {
    let names: Vec<_> = (0..MEMBERS).map(|number| format!("n{number}")).collect();
    let launch = sandbox.program(["--registry", "env:", "members", "db"]).env("CLUSTER_MEMBERS_DB", names.join(","));
    let done = launch.finish(SOON);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let listed: BTreeSet<_> = done.stdout.lines().collect();
    assert!(listed.len() == MEMBERS && names.iter().all(|name| listed.contains(name.as_str())));
}

fn name(number: usize) -> String {
    format!("10.0.{}.{}:80", number / 250, number % 250)
}

fn file(context: &Context) -> Vec<String> {
    let text = context.read("db.json").expect("a file");
    serde_json::from_str::<Value>(&text).ok().and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default()
}

/// By the server's own API where there is one, many at a time.
fn fill(context: &Context, names: &[String]) {
    let path = |name: &String| context.at(&format!("db/{name}"));
    match context.backend {
        Backend::EtcdV2 => {
            let request = |name: &String| (format!("/v2/keys{}", path(name)), "value=0".to_owned());
            send(context, "PUT", names.iter().map(request).collect());
        }
        Backend::ConsulKv => {
            let request = |name: &String| (format!("/v1/kv{}", path(name)), "0".to_owned());
            send(context, "PUT", names.iter().map(request).collect());
        }
        Backend::EtcdV3 => {
            // A transaction of etcd holds up to 128 operations.
            let put = |name: &String| json!({"requestPut": {"key": base64(&path(name)), "value": base64("0")}});
            let batches = names.chunks(128).map(|some| json!({"success": some.iter().map(put).collect::<Vec<_>>()}));
            send(context, "POST", batches.map(|batch| ("/v3/kv/txn".to_owned(), batch.to_string())).collect());
        }
        Backend::Sqlite => block_on(async {
            let registry = registry::connect(&context.url()).expect("a registry");
            let options = RegisterOptions::new().ttl(Duration::from_mins(10));
            for name in names {
                let key = Key::parse(&path(name)).expect("a key");
                registry.register(&key, "0".into(), &options).await.unwrap_or_else(|error| panic!("{error}"));
            }
        }),
    }
}

fn send(context: &Context, method: &'static str, requests: Vec<(String, String)>) {
    const AT_ONCE: usize = 32;
    let port: u16 = context.url().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let mut lanes = vec![Vec::new(); AT_ONCE];
    for (number, request) in requests.into_iter().enumerate() {
        lanes[number % AT_ONCE].push(request);
    }
    block_on(async {
        let mut tasks = JoinSet::new();
        for lane in lanes {
            tasks.spawn(async move {
                for (path, body) in lane {
                    let answer = http::request(Duration::from_secs(30), port, method, &path, &body).await;
                    let (status, text) = answer.unwrap_or_else(|error| panic!("{error}"));
                    assert!(status == 200 || status == 201, "{path}: {status} {text}");
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.expect("it does not panic");
        }
    });
}

fn base64(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in text.as_bytes().chunks(3) {
        let word = three.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * place) & 63) as usize];
            out.push(if place <= three.len() { char::from(letter) } else { '=' });
        }
    }
    out
}
