//! Asking whether something is healthy.

use std::sync::OnceLock;
use std::time::Duration;

use processes::{Command, Output, Processes};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::configuration::{ProbeSpec, ReadySpec, Target};

/// How much of a command's complaints is kept.
const COMPLAINTS: usize = 1024;

/// Asks once. `Ok`: it is healthy.
///
/// # Errors
/// A sentence that says what was found instead.
pub(crate) async fn ask(probe: &ProbeSpec, processes: &Processes) -> Result<(), String> {
    match &probe.target {
        Target::Tcp(address) => match timeout(probe.timeout, TcpStream::connect(address.as_str())).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(format!("{address}: {error}")),
            Err(_) => Err(format!("{address}: no connection within {:?}", probe.timeout)),
        },
        Target::Http(url) => get(url, probe.timeout).await,
        Target::Exec(argv) => exec(argv, probe.timeout, processes).await,
    }
}

async fn get(url: &str, limit: Duration) -> Result<(), String> {
    static CLIENT: OnceLock<Result<reqwest::Client, String>> = OnceLock::new();
    let client = CLIENT.get_or_init(|| client().map_err(|error| format!("cannot make requests: {error}"))).as_ref()?;
    let response = client.get(url).timeout(limit).send().await;
    // The URL may hold a secret, and is known to whoever wrote it.
    let status = response.map_err(registry_http::reason)?.status();
    if status.is_success() || status.is_redirection() { Ok(()) } else { Err(format!("it answers {status}")) }
}

/// For the machine's own services: no TLS, no proxy, no redirects. Each question is asked on a new connection, as the next
/// visitor would come.
fn client() -> Result<reqwest::Client, String> {
    let tls = registry_credentials::trust_nobody().map_err(|error| error.to_string())?;
    registry_http::builder(tls).pool_max_idle_per_host(0).build().map_err(registry_http::reason)
}

async fn exec(argv: &[String], limit: Duration, processes: &Processes) -> Result<(), String> {
    let Some((program, arguments)) = argv.split_first() else { return Err("there is no command".into()) };
    let capture = Output::Capture { limit: COMPLAINTS };
    let command = Command::new(program).args(arguments).stdout(Output::Null).stderr(capture);
    let outcome = processes.run_to_end(command, limit).await.map_err(|error| error.to_string())?;
    match (outcome.timed_out, outcome.success()) {
        (true, _) => Err(format!("{program} did not end within {limit:?}")),
        (false, true) => Ok(()),
        (false, false) => Err(format!("{program}: {} {}", outcome.status, outcome.stderr.text().trim_end())),
    }
}

/// Follows the health of a child: tells when it falls and when it rises again.
pub(crate) struct Health {
    healthy: bool,
    streak: u32,
}

impl Health {
    pub(crate) fn new() -> Self {
        Self { healthy: true, streak: 0 }
    }

    /// Takes one answer in; `Some` when the judgement changes.
    pub(crate) fn judge(&mut self, passed: bool, fall: u32, rise: u32) -> Option<bool> {
        if passed == self.healthy {
            self.streak = 0;
            return None;
        }
        self.streak += 1;
        let needed = if self.healthy { fall } else { rise };
        (self.streak >= needed).then(|| {
            self.streak = 0;
            self.healthy = passed;
            passed
        })
    }
}

/// Asks until it passes. `start_period` is when a warning is due.
pub(crate) async fn until_ready(spec: &ReadySpec, processes: &Processes) {
    let begun = tokio::time::Instant::now();
    let mut warned = false;
    while let Err(problem) = ask(&spec.probe, processes).await {
        tracing::debug!("not ready: {problem}");
        if !warned && begun.elapsed() >= spec.start_period {
            warned = true;
            tracing::warn!("the child is not ready after {:?}, and is not registered: {problem}", spec.start_period);
        }
        tokio::time::sleep(spec.interval).await;
    }
}

#[cfg(test)]
mod tests {
    use super::Health;

    #[test]
    fn one_failure_is_not_a_fall() {
        let mut health = Health::new();
        let answers = [true, false, false, true, false, false, false, false, true, false, true, true];
        let judged: Vec<_> = answers.iter().map(|passed| health.judge(*passed, 3, 2)).collect();
        assert_eq!(judged.iter().flatten().collect::<Vec<_>>(), [&false, &true]);
        assert_eq!(judged[6], Some(false));
        assert_eq!(judged[11], Some(true));
    }
}
