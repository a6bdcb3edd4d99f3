//! The start scripts of the original's article and README, with the new program in the old one's place and a small web
//! server in Apache's.

mod web;

use std::process::ExitCode;
use std::time::Duration;

use cluster_control_tests::{Backend, Context, SOON, Suite, eventually, never, program};
use web::Web;

/// As it is printed there, but for the path of the server.
const ARTICLE: &str = include_str!("article.sh");
/// As it is printed there.
const README: &str = include_str!("readme.sh");

fn main() -> ExitCode {
    let (all, etcd) = (&Backend::ALL, &Backend::ETCD);
    Suite::new()
        .on(all, "the_article", |context| article(context, ""))
        .on(all, "the_article_with_verbose", |context| article(context, " --verbose"))
        .on(all, "the_article_when_its_server_crashes", crash)
        .on_own(etcd, "the_article_through_an_outage", outage)
        .on(all, "the_readme", readme)
        .run()
}

/// Members are served as soon as they are there, and who removes the key stops the server.
fn article(context: &Context, options: &str) {
    let web = Web::new(context);
    join(context, "dbserver/10.0.0.1:3306");
    let mut script = web.article(options).start();
    web.eventually_serves("dbservers.json", &["10.0.0.1:3306"]);
    eventually(SOON, "the key is set", || web.is_registered());
    assert_eq!(web.asked("graceful"), 0, "nothing has changed yet");

    join(context, "dbserver/10.0.0.2:3306");
    web.eventually_serves("dbservers.json", &["10.0.0.1:3306", "10.0.0.2:3306"]);
    eventually(SOON, "a graceful restart", || web.asked("graceful") == 1);
    assert!(context.witness.remove(&context.at("dbserver/10.0.0.1:3306")));
    web.eventually_serves("dbservers.json", &["10.0.0.2:3306"]);
    eventually(SOON, "another", || web.asked("graceful") == 2);
    // Longer than a heartbeat and the time to live.
    never(Duration::from_secs(7), "it does something without a reason", || {
        web.asked("graceful") != 2 || web.asked("graceful-stop") > 0 || !web.is_registered()
    });

    assert!(context.witness.remove(&web.key));
    assert_eq!(script.wait(SOON), 0);
    assert!(web.asked("graceful-stop") > 0 && !web.is_up() && !web.is_registered());
    never(Duration::from_secs(3), "the key came back", || web.is_registered());
}

/// A server that ends by itself takes its key with it, long before the time to live ends; the heartbeat that is still
/// running does not put it back.
fn crash(context: &Context) {
    let web = Web::new(context);
    let mut script = web.article("").start();
    eventually(SOON, "the heartbeat", || script.stderr().contains("registered"));
    web.crash();
    assert_eq!(script.wait(SOON), 0);
    never(Duration::from_secs(5), "the key came back", || web.is_registered());
}

/// The registry is away for longer than the time to live: the server runs on, with the file as it was.
fn outage(context: &Context) {
    let web = Web::new(context);
    join(context, "dbserver/10.0.0.1:3306");
    let mut script = web.article("").start();
    eventually(SOON, "the key is set", || web.is_up() && web.is_registered());
    context.server().kill();
    never(Duration::from_secs(8), "the outage has done harm", || {
        !script.is_running() || web.served("dbservers.json").as_deref() != Some(r#"["10.0.0.1:3306"]"#)
    });
    context.server().start_again();
    eventually(SOON, "the key is set again", || web.is_registered());
    join(context, "dbserver/10.0.0.2:3306");
    web.eventually_serves("dbservers.json", &["10.0.0.1:3306", "10.0.0.2:3306"]);
    eventually(SOON, "a graceful restart", || web.asked("graceful") == 1);
    assert!(script.is_running() && web.asked("graceful-stop") == 0);
    assert!(context.witness.remove(&web.key));
    assert_eq!(script.wait(SOON), 0);
}

/// The other spelling of the commands, and two clusters.
fn readme(context: &Context) {
    let web = Web::new(context);
    let bin = context.path("bin/clustercontrol");
    std::os::unix::fs::symlink(program(), bin).expect("a link in the sandbox");
    join(context, "redis/10.0.0.1:6379");
    let mut script = web.script(README).start();
    web.eventually_serves("redis.json", &["10.0.0.1:6379"]);
    web.eventually_serves("mysql.json", &[]);
    // The script waits for five seconds, and then for five more.
    eventually(SOON, "the key is set", || web.is_registered());
    join(context, "redis/10.0.0.2:6379");
    web.eventually_serves("redis.json", &["10.0.0.1:6379", "10.0.0.2:6379"]);
    eventually(SOON, "a graceful restart", || web.asked("graceful") == 1);
    join(context, "mysql/10.0.0.3:3306");
    web.eventually_serves("mysql.json", &["10.0.0.3:3306"]);
    eventually(SOON, "another", || web.asked("graceful") == 2);
    assert!(script.is_running() && web.asked("graceful-stop") == 0);

    assert!(context.witness.remove(&web.key));
    assert_eq!(script.wait(SOON), 0);
    assert!(!web.is_up() && !web.is_registered());
}

fn join(context: &Context, name: &str) {
    context.witness.put(&context.at(name), "0");
}
