//! A Couchbase Server as far as the driver needs one, which forgives nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

pub(crate) const USER: &str = "admin";
/// Every byte in it that a form or a URL would read as syntax.
pub(crate) const PASSWORD: &str = "s3cret&= +%";
const AUTHORIZATION: &str = "Basic YWRtaW46czNjcmV0Jj0gKyU=";

type Form = BTreeMap<String, String>;
type Answer = (u16, String);

/// How the server is, and what it was asked.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    /// The names of its nodes.
    pub(crate) nodes: Vec<String>,
    /// How often it will say that a rebalance is running.
    pub(crate) running: usize,
    /// How many rebalances and failovers have begun.
    pub(crate) begun: usize,
    /// What a rebalance or failover takes, in questions about its progress.
    pub(crate) takes: usize,
    /// How it ends, when it fails.
    pub(crate) fails: Option<String>,
    /// What was asked: the path, and the form in order of its fields, `GET`s without one.
    pub(crate) log: Vec<String>,
    /// Answers to give before its own, by path.
    pub(crate) instead: BTreeMap<String, Vec<Answer>>,
    /// How long it takes for anything.
    pub(crate) delay: Duration,
}

#[derive(Debug)]
pub(crate) struct Couchbase {
    pub(crate) address: SocketAddr,
    cluster: Arc<Mutex<Cluster>>,
    task: JoinHandle<()>,
}

impl Couchbase {
    /// A cluster of these nodes, of which the one at 127.0.0.1 listens.
    pub(crate) async fn start(nodes: &[&str]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let nodes = nodes.iter().map(|&node| node.to_owned()).collect();
        let cluster = Arc::new(Mutex::new(Cluster { nodes, ..Cluster::default() }));
        let served = Arc::clone(&cluster);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&served)));
            }
        });
        Self { address, cluster, task }
    }

    pub(crate) fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.cluster().log.clone()
    }

    /// From now on this answer comes first for a path, once.
    pub(crate) fn answer(&self, path: &str, status: u16, body: &str) {
        self.cluster().instead.entry(path.to_owned()).or_default().push((status, body.to_owned()));
    }
}

impl Drop for Couchbase {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, cluster: Arc<Mutex<Cluster>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            if line.trim_end().is_empty() {
                break;
            }
            lines.push(line.trim_end().to_owned());
        }
        let header = |name: &str| {
            let mut values = lines[1..].iter().filter_map(|line| line.split_once(": "));
            values.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
        };
        let mut body = vec![0; header("content-length").map_or(0, |length| length.parse().expect("a length"))];
        stream.read_exact(&mut body).await?;
        let text = String::from_utf8(body).expect("a form is text");
        let delay = cluster.lock().unwrap_or_else(PoisonError::into_inner).delay;
        tokio::time::sleep(delay).await;
        let (status, answer) = match (header("authorization").as_deref(), header("content-type").as_deref()) {
            (Some(AUTHORIZATION), kind) => {
                let mut cluster = cluster.lock().unwrap_or_else(PoisonError::into_inner);
                respond(&mut cluster, &lines[0], kind, &text)
            }
            _ => (401, String::new()),
        };
        // Where a redirect would lead: to another host that would see the password.
        let location = if (300..400).contains(&status) { format!("Location: {answer}\r\n") } else { String::new() };
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n{location}\r\n", answer.len());
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(answer.as_bytes()).await?;
    }
}

fn respond(cluster: &mut Cluster, request: &str, kind: Option<&str>, body: &str) -> Answer {
    let (method, rest) = request.split_once(' ').expect("a request");
    let path = rest.strip_suffix(" HTTP/1.1").expect("a request of HTTP/1.1");
    match (method, kind) {
        ("GET", None) if body.is_empty() => cluster.log.push(path.to_owned()),
        ("POST", Some("application/x-www-form-urlencoded")) => cluster.log.push(format!("{path} {body}")),
        _ => return (400, format!("what is this? {request}: {kind:?}")),
    }
    if let Some(answer) = cluster.instead.get_mut(path).filter(|left| !left.is_empty()).map(|left| left.remove(0)) {
        return answer;
    }
    let form = parse(body);
    match (method, path) {
        ("GET", "/pools/default") => {
            let nodes: Vec<_> =
                cluster.nodes.iter().map(|name| serde_json::json!({ "otpNode": name, "x": 1 })).collect();
            (200, serde_json::json!({ "name": "default", "nodes": nodes }).to_string())
        }
        ("GET", "/pools/default/rebalanceProgress") => {
            if cluster.running > 0 {
                cluster.running -= 1;
                return (200, r#"{"status":"running","ns_1@127.0.0.1":{"progress":0.5}}"#.into());
            }
            let mut progress = serde_json::json!({ "status": "none" });
            if let Some(why) = &cluster.fails {
                progress["errorMessage"] = why.clone().into();
            }
            (200, progress.to_string())
        }
        ("POST", "/settings/autoFailover") => {
            let seconds = form["timeout"].parse::<u32>();
            if fields(&form) == "enabled timeout" && form["enabled"] == "true" && seconds.is_ok() {
                (200, String::new())
            } else {
                (400, r#"{"errors":{"timeout":"bad"}}"#.into())
            }
        }
        ("POST", "/controller/addNode") => add(cluster, &form),
        ("POST", "/controller/setRecoveryType") => {
            let known = fields(&form) == "otpNode recoveryType" && cluster.nodes.contains(&form["otpNode"]);
            if known && form["recoveryType"] == "delta" { (200, String::new()) } else { (400, "bad".into()) }
        }
        ("POST", "/controller/rebalance") => {
            let mut known: Vec<_> = form["knownNodes"].split(',').collect();
            known.sort_unstable();
            let mut all: Vec<_> = cluster.nodes.iter().map(String::as_str).collect();
            all.sort_unstable();
            if fields(&form) != "ejectedNodes knownNodes" || known != all || !form["ejectedNodes"].is_empty() {
                return (400, r#"{"mismatch":1}"#.into());
            }
            begin(cluster)
        }
        ("POST", "/controller/startGracefulFailover") => {
            if fields(&form) == "otpNode" && cluster.nodes.contains(&form["otpNode"]) {
                begin(cluster)
            } else {
                (400, "Unknown server given.".into())
            }
        }
        _ => (404, "Object Not Found".into()),
    }
}

fn add(cluster: &mut Cluster, form: &Form) -> Answer {
    if fields(form) != "hostname password services user" || form["user"] != USER || form["password"] != PASSWORD {
        return (400, r#"["Prepare join failed. Authentication failed."]"#.into());
    }
    let name = format!("ns_1@{}", form["hostname"]);
    if cluster.nodes.contains(&name) {
        return (400, r#"["Prepare join failed. Node is already part of cluster."]"#.into());
    }
    let answer = serde_json::json!({ "otpNode": name }).to_string();
    cluster.nodes.push(name);
    (200, answer)
}

fn begin(cluster: &mut Cluster) -> Answer {
    if cluster.running > 0 {
        return (400, "Rebalance running.".into());
    }
    cluster.begun += 1;
    cluster.running = cluster.takes;
    (200, String::new())
}

fn fields(form: &Form) -> String {
    form.keys().map(String::as_str).collect::<Vec<_>>().join(" ")
}

fn parse(body: &str) -> Form {
    let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}

fn decode(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = std::str::from_utf8(&rest[..2]).expect("two digits");
                bytes.push(u8::from_str_radix(digits, 16).expect("two digits"));
                rest = &rest[2..];
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).expect("text")
}
