use std::path::Path;
use std::time::{Duration, Instant};

use crate::launch::Launch;
use crate::server::Server;
use crate::{Error, Options, Result, Version, http};

/// A server that takes longer than this does not come at all, even on a busy machine.
const START: Duration = Duration::from_mins(1);

/// The API that `etcdctl` speaks. The two have different stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// The v2 HTTP API.
    V2,
    /// The v3 gRPC API.
    V3,
}

impl Api {
    pub(crate) fn number(self) -> &'static str {
        match self {
            Self::V2 => "2",
            Self::V3 => "3",
        }
    }
}

/// One etcd, by itself the only member of its cluster, with an address that stays the same through all it has to suffer.
///
/// Dropping it removes it and its data, and blocks for the moment that takes, in any runtime or none. When the process
/// ends without dropping it, by a signal for example, it is removed just after.
#[derive(Debug)]
pub struct Etcd {
    launch: Launch,
    server: Server,
    reported: String,
}

impl Etcd {
    /// Starts a server and returns when it answers, with an empty store.
    ///
    /// Fails at once when no server can be had, and then says how to get one; with what etcd wrote when it ended, or
    /// was not ready within a minute. When dropped half-way, what was started is removed at the end of this process.
    pub async fn start(options: impl Into<Options>) -> Result<Self> {
        let options = options.into();
        let mut attempts_left = 5;
        loop {
            attempts_left -= 1;
            match Self::launch(Launch::new(options.clone())).await {
                Err(error) if error.is_port_clash() && attempts_left > 0 => {}
                result => return result,
            }
        }
    }

    pub(crate) async fn launch(launch: Launch) -> Result<Self> {
        let server = Server::create(&launch).await?;
        if let Some(joined) = &launch.options.joined {
            server.join_network(&joined.network, &joined.alias).await?;
        }
        let mut etcd = Self { launch, server, reported: String::new() };
        etcd.wait_until_healthy().await?;
        etcd.reported = etcd.ask_version().await?;
        Ok(etcd)
    }

    /// Where clients connect: `127.0.0.1:PORT`, without a scheme.
    pub fn endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.launch.port)
    }

    /// The port of [`endpoint`](Self::endpoint).
    pub fn port(&self) -> u16 {
        self.launch.port
    }

    /// What runs, for a person: `etcd 3.4.23 in a container of cluster-control-test/etcd:3.4`.
    pub fn describe(&self) -> String {
        format!("etcd {} {}", self.reported, self.server.describe(&self.launch))
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
    /// and returns when it answers.
    pub async fn start_again(&mut self) -> Result<()> {
        self.server.start().await?;
        self.wait_until_healthy().await
    }

    /// Puts a new, empty cluster, with another cluster id, at the same address: what clients meet after a loss of all
    /// data. The old one ends by SIGKILL. Returns when the new one answers.
    pub async fn wipe(&mut self) -> Result<()> {
        // One that has ended already cannot be killed.
        if self.server.is_running().await? {
            self.server.kill().await?;
        }
        self.launch.renew_cluster();
        self.server = Server::create(&self.launch).await?;
        self.wait_until_healthy().await
    }

    /// Saves what the v3 store holds into a file of this machine. Only a process can.
    pub async fn save(&self, file: &Path) -> Result<()> {
        self.etcdctl(Api::V3, &["snapshot", "save", &file.to_string_lossy()]).await.map(drop)
    }

    /// Puts what was saved in the place of what the server holds: what clients meet after a backup was restored. The old
    /// server ends by SIGKILL. The cluster's id stays the same, unless it is to be `another`. Returns when the server
    /// answers. Only a process can.
    pub async fn restore(&mut self, file: &Path, another: bool) -> Result<()> {
        self.server.kill().await?;
        if another {
            self.launch.renew_cluster();
        }
        self.server.restore(&self.launch, file).await?;
        self.server.start().await?;
        self.wait_until_healthy().await
    }

    /// Goes on as this version, with the same address and data, as an administrator does it. Returns when it answers. Only a
    /// process can.
    pub async fn upgrade(&mut self, to: Version) -> Result<()> {
        self.server.stop().await?;
        self.launch.options.version = to;
        self.server.replace(&self.launch)?;
        self.start_again().await?;
        self.reported = self.ask_version().await?;
        Ok(())
    }

    /// Begins again at the same address, without data, and with one argument more. The old server ends by SIGKILL. Does not
    /// wait for the new one to be healthy: as a member that only learns it may not be. Only a process can.
    pub(crate) async fn begin_anew(&mut self, argument: &str) -> Result<()> {
        if self.server.is_running().await? {
            self.server.kill().await?;
        }
        if !self.launch.options.arguments.iter().any(|given| given == argument) {
            self.launch.options.arguments.push(argument.to_owned());
        }
        self.server = Server::create(&self.launch).await?;
        Ok(())
    }

    /// Freezes the server: connections are accepted, and nothing ever answers.
    pub async fn pause(&mut self) -> Result<()> {
        self.server.pause().await
    }

    /// Ends a [`pause`](Self::pause). Does not wait for the server to be healthy.
    pub async fn unpause(&mut self) -> Result<()> {
        self.server.unpause().await
    }

    /// Runs `etcdctl` beside the server and returns what it printed, without the last newline; an error holds what it
    /// said when it failed. The endpoint, and with TLS the client's certificate, are set already, by environment
    /// variables: etcdctl 3 refuses an option that has its variable set, so do not give `--endpoints`.
    /// `{files}` is the directory of [`Options::files`].
    pub async fn etcdctl(&self, api: Api, arguments: &[&str]) -> Result<String> {
        self.server.etcdctl(&self.launch, api, arguments).await
    }

    /// What the server has written since its start.
    pub async fn log(&self) -> String {
        self.server.log().await
    }

    pub(crate) async fn join_network(&self, network: &str, alias: &str) -> Result<()> {
        self.server.join_network(network, alias).await
    }

    pub(crate) async fn leave_network(&self, network: &str) -> Result<()> {
        self.server.leave_network(network).await
    }

    /// Returns when the server answers and, as a member of a cluster, has a leader.
    pub async fn wait_until_healthy(&mut self) -> Result<()> {
        let start = Instant::now();
        loop {
            let limit = Duration::from_secs(1);
            let health = http::request(limit, self.launch.health_port, "GET", "/health", "").await;
            let last = match health {
                Ok((200, body)) if body.contains(r#""health":"true""#) => return Ok(()),
                Ok((status, body)) => format!("/health says {status} {body}"),
                Err(error) => error.to_string(),
            };
            let ended = !self.server.is_running().await?;
            if ended || start.elapsed() > START {
                let what = if ended { "ended at its start" } else { "was not ready in time" };
                return Err(Error::new(format!("etcd {what} ({last}); its log:\n{}", self.log_for_error().await)));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The end of the log, and its beginning: for a wrong argument the reason is there, before the usage.
    async fn log_for_error(&self) -> String {
        let log = self.server.log().await;
        let lines: Vec<_> = log.lines().collect();
        match lines.len() {
            0..=13 => lines.join("\n"),
            count => [&lines[..3], &["..."], &lines[count - 10..]].concat().join("\n"),
        }
    }

    async fn ask_version(&self) -> Result<String> {
        if self.launch.options.tls.is_some() {
            // The port of /health has no /version, and the other one speaks TLS only.
            let said = self.etcdctl(Api::V3, &["version"]).await?;
            let line = said.lines().find_map(|line| line.strip_prefix("etcdctl version: "));
            return line.map(str::to_owned).ok_or_else(|| Error::new(format!("etcdctl has no version: {said}")));
        }
        let (_, body) = http::request(Duration::from_secs(5), self.launch.port, "GET", "/version", "").await?;
        body.split('"')
            .skip_while(|word| *word != "etcdserver")
            .nth(2)
            .map(str::to_owned)
            .ok_or_else(|| Error::new(format!("etcd has no version: {body}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another process takes the port after it was found free: `start` must know that by the error.
    async fn clashes(options: Options) {
        let launch = Launch::new(options);
        let _other = std::net::TcpListener::bind(("127.0.0.1", launch.port)).unwrap();
        let error = Etcd::launch(launch).await.unwrap_err();
        assert!(error.is_port_clash(), "{error}");
    }

    #[tokio::test]
    async fn a_port_that_was_just_taken_is_recognised() {
        clashes(Version::V3_5.into()).await;
    }

    #[tokio::test]
    async fn a_process_whose_port_was_just_taken_is_recognised() {
        clashes(Options::from(Version::V3_4).process()).await;
    }
}
