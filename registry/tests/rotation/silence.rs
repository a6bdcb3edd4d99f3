//! Secrets are told to the server and to nobody else.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use registry::{Dir, Scope};
use test_servers::{fake_http, free_port};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};

use crate::client::{Backend, Client, add, dir, replace};
use crate::guarded::{Guarded, SECRETS};
use crate::passwords::is_refusal;

/// Writes down whatever this thread says, at every level.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<(Level, String)>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {field}={value:?}").expect("a string");
    }
}

impl Written {
    fn lines(&self) -> MutexGuard<'_, Vec<(Level, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, level: Level, what: &str, visit: impl FnOnce(&mut Line)) {
        let mut line = Line(what.to_owned());
        visit(&mut line);
        self.lines().push((level, line.0));
    }

    fn text(&self) -> String {
        let lines = self.lines();
        lines.iter().fold(String::new(), |text, (level, line)| text + level.as_str() + " " + line + "\n")
    }
}

impl Subscriber for Written {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.write(*span.metadata().level(), span.metadata().name(), |line| span.record(line));
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, values: &Record<'_>) {
        self.write(Level::TRACE, "recorded", |line| values.record(line));
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        self.write(*event.metadata().level(), event.metadata().target(), |line| event.record(line));
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// What libraries say that do not know `tracing`; that of all tests together, for there is one in a process.
struct Log(Mutex<String>);

static LOG: Log = Log(Mutex::new(String::new()));

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        // What starts the servers tells them the secrets, as an administrator does.
        if ["testcontainers", "bollard"].iter().any(|own| record.target().starts_with(own)) {
            return;
        }
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(log, "{} {} {}", record.level(), record.target(), record.args()).expect("a string");
    }
    fn flush(&self) {}
}

/// `me:` and the first secret, as basic authentication writes them; and where the second one differs.
const ENCODED: [&str; 2] = ["bWU6Y2E5YTQxMTEt", "bWU6Y2E5YTQyMjIt"];

/// At work, when refused, when nobody answers, and when the file is broken: in logs at every level, in errors, in `Debug`.
pub(crate) async fn secrets_are_told_to_the_server_only(backend: Backend) {
    // Another test may have been the first.
    let _ = log::set_logger(&LOG);
    log::set_max_level(log::LevelFilter::Trace);
    let written = Written::default();
    let _guard = tracing::subscriber::set_default(written.clone());
    let [first, second] = SECRETS;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("secret");
    std::fs::write(&file, first).expect("written");
    let mut shown = String::new();
    let mut server = Guarded::start(backend).await;
    let mut client = Client::start(&server.url(&file)).await;
    add(&*client.registry, "other").await;
    client.sees("other").await;
    let elsewhere = Scope::from(Dir::new("/elsewhere").expect("a path"));
    let denied = client.registry.list(&elsewhere).await.expect_err("not permitted");
    server.change(first, second).await;
    let refused = client.cannot_renew(is_refusal).await;
    replace(&file, format!("{second}\n"));
    client.stands().await;
    std::fs::write(&file, [b"\xff", first.as_bytes()].concat()).expect("written");
    client.stands().await;
    server.stop().await;
    let gone = client.registry.list(&elsewhere).await.expect_err("nobody is there");
    for error in [denied, refused, gone] {
        write!(shown, "{error} {error:?} {error:#?}").expect("a string");
    }
    write!(shown, "{:?} {:#?} {:?}", client.registry, client.registry, client.registry.info()).expect("a string");

    let told = written.text();
    assert!(told.contains("TRACE") || told.contains("DEBUG"), "nothing was written down: {told}");
    let log = LOG.0.lock().unwrap_or_else(PoisonError::into_inner);
    for (place, text) in [("shown", &shown), ("told", &told), ("logged", &*log)] {
        for secret in SECRETS.iter().chain(&ENCODED) {
            let at = text.find(secret).map(|at| text[..at].lines().last().unwrap_or_default());
            assert_eq!(at, None, "{secret} is {place}");
        }
    }
}

/// This test, run once more by itself with an environment that a process cannot safely change for itself.
const CHILD: &str = "TEST_PROXY_URL";

/// A proxy would see the secret, and cut what waits. Only HTTP knows them.
#[tokio::test]
async fn a_proxy_of_the_environment_is_not_used() {
    if let Ok(url) = std::env::var(CHILD) {
        registry::connect(&url).expect("a configuration").list(&Scope::from(dir())).await.expect_err("nobody is there");
        return;
    }
    let proxy = fake_http(200, "text/plain", "a proxy").await.expect("a server");
    let name = std::thread::current().name().expect("the test's name").to_owned();
    for backend in [Backend::EtcdV2, Backend::Consul] {
        let mut child = tokio::process::Command::new(std::env::current_exe().expect("this program"));
        child.args(["--exact", &name]).env(CHILD, format!("{}://127.0.0.1:{}", backend.scheme(), free_port()));
        for variable in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            child.env(variable, format!("http://{}", proxy.endpoint()));
        }
        let output = child.env_remove("no_proxy").env_remove("NO_PROXY").output().await.expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        assert_eq!(proxy.requests(), 0, "{backend:?} asked the proxy");
    }
}

/// A warning when it is prepared, and none for each request; none where nobody can listen.
pub(crate) async fn an_exposed_secret_is_warned_of_once(backend: Backend) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("secret");
    std::fs::write(&file, SECRETS[0]).expect("written");
    let secret = match backend {
        Backend::Consul => format!("token_file={}", file.display()),
        _ => format!("user=me&password_file={}", file.display()),
    };
    let port = free_port();
    // The first address is one of those that no network has.
    for (host, expected) in [("192.0.2.1", 1), ("127.0.0.1", 0), ("localhost", 0)] {
        let written = Written::default();
        let _guard = tracing::subscriber::set_default(written.clone());
        let url = format!("{}://{host}:{port}?timeout=100ms&{secret}", backend.scheme());
        let registry = registry::connect(&url).expect("a configuration");
        for _ in 0..3 {
            registry.list(&Scope::from(dir())).await.expect_err("nobody is there");
        }
        let warned = written.lines().iter().filter(|(_, line)| line.contains("travels without protection")).count();
        assert_eq!(warned, expected, "{host}: {}", written.text());
    }
}
