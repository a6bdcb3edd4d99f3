//! The child's readiness and health, as one channel.

use processes::Processes;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::configuration::{HealthSpec, ReadySpec};
use crate::probing::{Health, ask, until_ready};

/// How the child does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// It was not ready yet.
    Starting,
    /// It is ready, and healthy as far as is known.
    Healthy,
    /// It was ready and is not healthy any more.
    Unhealthy,
}

/// Asks until this is dropped.
#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) condition: watch::Receiver<Condition>,
    task: JoinHandle<()>,
}

impl Watcher {
    pub(super) fn start(ready: Option<ReadySpec>, health: Option<HealthSpec>, processes: Processes) -> Self {
        let (sender, condition) = watch::channel(Condition::Starting);
        let task = tokio::spawn(async move {
            if let Some(ready) = ready {
                until_ready(&ready, &processes).await;
            }
            sender.send_replace(Condition::Healthy);
            match health {
                Some(health) => follow(&health, &processes, &sender).await,
                // The sender stays, so that the channel does.
                None => sender.closed().await,
            }
        });
        Self { condition, task }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(spec: &HealthSpec, processes: &Processes, sender: &watch::Sender<Condition>) {
    let mut health = Health::new();
    loop {
        sleep(spec.interval).await;
        let answer = ask(&spec.probe, processes).await;
        if let Err(problem) = &answer {
            tracing::debug!("unhealthy: {problem}");
        }
        match (health.judge(answer.is_ok(), spec.fall, spec.rise), answer) {
            (Some(true), _) => {
                tracing::info!("the child is healthy again");
                sender.send_replace(Condition::Healthy);
            }
            (Some(false), answer) => {
                tracing::warn!("the child is not healthy: {}", answer.err().unwrap_or_default());
                sender.send_replace(Condition::Unhealthy);
            }
            (None, _) => {}
        }
    }
}
