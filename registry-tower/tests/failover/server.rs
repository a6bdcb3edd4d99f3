//! A gRPC server in a process of its own, which can be killed and frozen. It is this executable, started again.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::transport::Server as Transport;
use tower::ServiceExt;

/// The variable that makes this executable a server: its name and port.
const SERVE: &str = "TEST_SERVE";

/// Headers: who answered, the number of a request, and how long its processing takes in milliseconds.
pub(crate) const WHO: &str = "x-server";
pub(crate) const NUMBER: &str = "x-number";
pub(crate) const TAKES: &str = "x-takes";

/// Serves and never returns, if this process was started for that.
pub(crate) fn serve_if_asked() {
    let Ok(wanted) = std::env::var(SERVE) else { return };
    let (name, port) = wanted.split_once(' ').expect("NAME PORT");
    let port = port.parse().expect("a port");
    std::thread::spawn(|| {
        // The end of the input is the end of the test.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    runtime.block_on(serve(name.to_owned(), port));
    std::process::exit(0);
}

async fn serve(name: String, port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
    println!("listening {}", listener.local_addr().expect("an address").port());
    let (_, health) = tonic_health::server::health_reporter();
    let who = http::HeaderValue::try_from(name).expect("a header");
    let layer = tower::layer::layer_fn(move |service: tonic::service::Routes| {
        let who = who.clone();
        tower::service_fn(move |request: http::Request<Body>| {
            let (service, who) = (service.clone(), who.clone());
            let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
            let (number, takes) = (header(NUMBER), header(TAKES));
            async move {
                if let Some(number) = number {
                    println!("processed {number}");
                }
                tokio::time::sleep(Duration::from_millis(takes.unwrap_or(0))).await;
                let mut response = service.oneshot(request).await?;
                response.headers_mut().insert(WHO, who);
                Ok::<_, std::convert::Infallible>(response)
            }
        })
    });
    let serving = Transport::builder().layer(layer).add_service(health);
    serving.serve_with_incoming(TcpListenerStream::new(listener)).await.expect("it serves");
}

/// One run of the server.
pub(crate) struct Server {
    name: String,
    pub(crate) port: u16,
    child: Child,
    processed: Arc<Mutex<BTreeMap<u64, usize>>>,
}

impl Server {
    pub(crate) fn start(name: &str) -> Self {
        Self::start_at(name, 0)
    }

    pub(crate) fn start_at(name: &str, port: u16) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this executable"));
        command.env(SERVE, format!("{name} {port}")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the server starts");
        let mut said = BufReader::new(child.stdout.take().expect("what it says"));
        let mut first = String::new();
        said.read_line(&mut first).expect("it says where it listens");
        let port = first.trim_end().strip_prefix("listening ").expect("a port").parse().expect("a port");
        let processed = Arc::default();
        std::thread::spawn({
            let processed = Arc::clone(&processed);
            move || count(said, &processed)
        });
        Self { name: name.to_owned(), port, child, processed }
    }

    /// The same again after its end, on the same port.
    pub(crate) fn start_again(&mut self) {
        *self = Self::start_at(&self.name, self.port);
    }

    /// How often it has begun to process which request, once it says no more.
    pub(crate) async fn processed(&self) -> BTreeMap<u64, usize> {
        let said = || self.processed.lock().expect("no panic").clone();
        let mut before = said();
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let now = said();
            if now == before {
                return now;
            }
            before = now;
        }
    }

    /// `kill -9`; returns when the process is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }

    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("signalled");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn count(said: BufReader<ChildStdout>, processed: &Mutex<BTreeMap<u64, usize>>) {
    for line in said.lines().map_while(Result::ok) {
        let number = line.strip_prefix("processed ").expect("nothing else is said").parse().expect("a number");
        *processed.lock().expect("no panic").entry(number).or_default() += 1;
    }
}
