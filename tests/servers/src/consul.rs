//! One Consul: how it is started, and what it is made to suffer.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::certificates::Certificates;
use crate::plan::{Place, Plan};
use crate::server::Server;
use crate::{Error, Result, engine, free_port, http};

/// A server that takes longer than this does not come at all, even on a busy machine.
const START: Duration = Duration::from_mins(1);
/// The version of Debian bullseye, and of the official image.
const VERSION: &str = "1.8";

/// How a Consul is to be started. The default is a plain one: no TLS, no access control.
#[derive(Clone, Debug, Default)]
pub struct ConsulOptions {
    settings: Vec<String>,
    master_token: Option<String>,
    files: Option<PathBuf>,
    tls: bool,
    process: bool,
}

impl ConsulOptions {
    /// One more setting in Consul's own language, such as `limits { http_max_conns_per_client = 10 }`. It wins over this
    /// crate's own.
    pub fn setting(mut self, setting: impl Into<String>) -> Self {
        self.settings.push(setting.into());
        self
    }

    /// Whoever has no token may do nothing; whoever has this one, everything.
    pub fn access_control(mut self, master_token: impl Into<String>) -> Self {
        self.master_token = Some(master_token.into());
        self
    }

    /// Clients must use TLS.
    pub fn tls(mut self, certificates: &Certificates) -> Self {
        (self.tls, self.files) = (true, Some(certificates.directory().to_owned()));
        self
    }

    /// Clients must use TLS and show a certificate.
    pub fn tls_mutual(self, certificates: &Certificates) -> Self {
        self.tls(certificates).setting("verify_incoming_https = true")
    }

    /// A child process, even where an engine answers.
    pub fn process(mut self) -> Self {
        self.process = true;
        self
    }
}

/// One Consul server, the only one of its datacenter unless it is of a [`ConsulCluster`](crate::ConsulCluster), with an address that stays the same through all it has to suffer.
///
/// Dropping it removes it and its data, as with [`Etcd`](crate::Etcd).
#[derive(Debug)]
pub struct Consul {
    pub(crate) launch: Launch,
    server: Server,
    reported: String,
}

impl Consul {
    /// Starts a server and returns when it answers and can be written to, with an empty store.
    ///
    /// Fails as [`Etcd::start`](crate::Etcd::start) does.
    pub async fn start(options: ConsulOptions) -> Result<Self> {
        let mut attempts_left = 5;
        loop {
            attempts_left -= 1;
            match Self::launch(Launch::new(options.clone())).await {
                Err(error) if error.is_port_clash() && attempts_left > 0 => {}
                result => return result,
            }
        }
    }

    async fn launch(launch: Launch) -> Result<Self> {
        let mut consul = Self::create(launch).await?;
        consul.become_ready().await?;
        Ok(consul)
    }

    /// Starts a server, which may not be able to answer before others are there.
    pub(crate) async fn create(launch: Launch) -> Result<Self> {
        let server = Server::create(&launch).await?;
        Ok(Self { launch, server, reported: String::new() })
    }

    /// Waits until it answers and can be written to.
    pub(crate) async fn become_ready(&mut self) -> Result<()> {
        self.wait_until_ready().await?;
        let (_, about) = self.ask("GET", "/v1/agent/self", "").await?;
        let version = about.split("\"Version\":").nth(1).and_then(|rest| rest.split('"').nth(1));
        version.unwrap_or("of an unknown version").clone_into(&mut self.reported);
        Ok(())
    }

    /// Where clients connect: `127.0.0.1:PORT`, without a scheme.
    pub fn endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// The port of [`endpoint`](Self::endpoint).
    pub fn port(&self) -> u16 {
        if self.launch.options.tls { self.launch.tls_port } else { self.launch.http_port }
    }

    /// What runs, for a person: `consul 1.8.7 in a container of cluster-control-test/consul:1.8`.
    pub fn describe(&self) -> String {
        format!("consul {} {}", self.reported, self.server.describe(&self.launch))
    }

    /// Asks the server directly, without TLS and with every permission, as an independent witness. Returns the status and
    /// the body.
    pub async fn ask(&self, method: &str, path: &str, body: &str) -> Result<(u16, String)> {
        let limit = Duration::from_secs(10);
        http::request_with(limit, self.launch.http_port, method, path, &self.headers(), body).await
    }

    /// Ends the server as an administrator does, by SIGTERM. When this returns, it has ended.
    pub async fn stop(&mut self) -> Result<()> {
        self.server.stop().await
    }

    /// Ends the server as a crash does, by SIGKILL. When this returns, it has ended.
    pub async fn kill(&mut self) -> Result<()> {
        self.server.kill().await
    }

    /// Starts the server again after [`stop`](Self::stop) or [`kill`](Self::kill), with the same address and data,
    /// and returns when it can be written to.
    pub async fn start_again(&mut self) -> Result<()> {
        self.server.start().await?;
        self.wait_until_ready().await
    }

    /// Puts a new, empty server at the same address: what clients meet after a loss of all data. The old one ends by
    /// SIGKILL. Returns when the new one can be written to.
    pub async fn wipe(&mut self) -> Result<()> {
        if self.server.is_running().await? {
            self.server.kill().await?;
        }
        self.server = Server::create(&self.launch).await?;
        self.wait_until_ready().await
    }

    /// Freezes the server: connections are accepted, and nothing ever answers.
    pub async fn pause(&mut self) -> Result<()> {
        self.server.pause().await
    }

    /// Ends a [`pause`](Self::pause). Does not wait for the server to be ready.
    pub async fn unpause(&mut self) -> Result<()> {
        self.server.unpause().await
    }

    /// What the server has written since its start.
    pub async fn log(&self) -> String {
        self.server.log().await
    }

    fn headers(&self) -> String {
        let token = self.launch.options.master_token.as_ref();
        token.map(|token| format!("X-Consul-Token: {token}\r\n")).unwrap_or_default()
    }

    /// A leader alone is not enough: just after its election it refuses writes.
    async fn wait_until_ready(&mut self) -> Result<()> {
        let start = Instant::now();
        loop {
            let last = match self.try_it().await {
                Ok(true) => return Ok(()),
                Ok(false) => "it has no leader".to_owned(),
                Err(error) => error.to_string(),
            };
            let ended = !self.server.is_running().await?;
            if ended || start.elapsed() > START {
                let what = if ended { "ended at its start" } else { "was not ready in time" };
                let log = self.server.log().await;
                let lines: Vec<_> = log.lines().collect();
                let end = lines[lines.len().saturating_sub(15)..].join("\n");
                return Err(Error::new(format!("consul {what} ({last}); its log:\n{end}")));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn try_it(&self) -> Result<bool> {
        let (limit, port, headers) = (Duration::from_secs(1), self.launch.http_port, self.headers());
        let ask = |method, path| http::request_with(limit, port, method, path, &headers, "");
        let (status, leader) = ask("GET", "/v1/status/leader").await?;
        if status != 200 || !leader.contains(':') {
            return Ok(false);
        }
        let (status, body) = ask("PUT", "/v1/kv/test-servers-ready").await?;
        if (status, body.trim()) != (200, "true") {
            return Ok(false);
        }
        let (_, body) = ask("DELETE", "/v1/kv/test-servers-ready").await?;
        // The node itself must stand in the catalog, or its services cannot.
        let (_, nodes) = ask("GET", "/v1/catalog/service/consul").await?;
        Ok(body.trim() == "true" && nodes.contains("\"consul\""))
    }
}

/// One server's plan. Its ports stay the same as long as it lives.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    options: ConsulOptions,
    http_port: u16,
    tls_port: u16,
    pub(crate) server_port: u16,
    serf_port: u16,
    /// The name of its node.
    node: &'static str,
    /// Where the gossip of the others is; empty for the only one.
    others: Vec<u16>,
}

impl Launch {
    fn new(options: ConsulOptions) -> Self {
        let [http_port, tls_port, server_port, serf_port] = std::array::from_fn(|_| free_port());
        Self { options, http_port, tls_port, server_port, serf_port, node: "one", others: Vec::new() }
    }

    /// Plans that are to find each other. Their servers must see the same loopback: they are processes.
    pub(crate) fn cluster(options: &ConsulOptions, nodes: [&'static str; 3]) -> Vec<Self> {
        let mut all = nodes.map(|node| Self { node, ..Self::new(options.clone().process()) }).to_vec();
        let ports: Vec<_> = all.iter().map(|launch| launch.serf_port).collect();
        for launch in &mut all {
            launch.others = ports.iter().copied().filter(|port| *port != launch.serf_port).collect();
        }
        all
    }
}

impl Plan for Launch {
    fn repository(&self) -> &'static str {
        "cluster-control-test/consul"
    }

    fn version(&self) -> &'static str {
        VERSION
    }

    fn program(&self) -> &'static str {
        "consul"
    }

    fn programs(&self) -> Result<PathBuf> {
        engine::consul_programs(VERSION)
    }

    fn ports(&self) -> Vec<u16> {
        if self.options.tls { vec![self.http_port, self.tls_port] } else { vec![self.http_port] }
    }

    fn arguments(&self, place: &Place<'_>) -> Vec<String> {
        let Self { options, http_port, tls_port, server_port, serf_port, node, others } = self;
        let files = place.files;
        let tls_port = if options.tls { i32::from(*tls_port) } else { -1 };
        let mut settings = vec![
            // What is not served cannot take a port. The member talks to nobody but its clients.
            format!(
                "ports {{ http = {http_port} https = {tls_port} dns = -1 grpc = -1 server = {server_port} serf_lan = {serf_port} serf_wan = -1 }}"
            ),
            // An election takes a second instead of ten.
            "performance { raft_multiplier = 1 }".to_owned(),
            "disable_update_check = true".to_owned(),
        ];
        if options.tls {
            settings.push(format!(
                "cert_file = \"{files}/server.pem\" key_file = \"{files}/server.key\" ca_file = \"{files}/ca.pem\""
            ));
        }
        if let Some(token) = &options.master_token {
            settings.push(format!(
                "acl {{ enabled = true default_policy = \"deny\" tokens {{ master = \"{token}\" agent = \"{token}\" }} }}"
            ));
        }
        if !others.is_empty() {
            let others: Vec<_> = others.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
            settings.push(format!("retry_join = [{}] retry_interval = \"1s\"", others.join(", ")));
        }
        settings.extend(options.settings.iter().cloned());
        let address = place.address;
        let mut arguments = ["agent", "-server", "-bind=127.0.0.1"].map(str::to_owned).to_vec();
        arguments.push(format!("-bootstrap-expect={}", others.len() + 1));
        arguments.push(format!("-node={node}"));
        arguments.push(format!("-client={address}"));
        arguments.push(format!("-data-dir={}", place.data));
        arguments.extend(settings.into_iter().map(|setting| format!("-hcl={setting}")));
        arguments
    }

    fn files(&self) -> Option<&Path> {
        self.options.files.as_deref()
    }

    fn is_process(&self) -> bool {
        self.options.process
    }
}
