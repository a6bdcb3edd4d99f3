//! A node of a scheduler.

use std::sync::Arc;
use std::time::Duration;

use registry::Dir;
use registry_core::async_trait;
use registry_recipes::scheduler::{Context as Among, Driver, DriverError, Joined, Layout, Options, Scheduler};

use super::Context;
use crate::history::What;

/// How long it may take to leave.
const LEAVING: Duration = Duration::from_secs(10);

/// Has nothing to do.
#[derive(Debug)]
struct Idle;

#[async_trait]
impl Driver for Idle {
    async fn join(&self, _: &Among) -> Result<Joined, DriverError> {
        Ok(Joined::Anew)
    }

    async fn recover(&self, _: &Among) -> Result<(), DriverError> {
        Ok(())
    }

    async fn rebalance(&self, _: &Among) -> Result<(), DriverError> {
        Ok(())
    }

    async fn failover(&self, _: &Among) -> Result<(), DriverError> {
        Ok(())
    }
}

/// Is scheduled, and stands for leading the others, until it is told to end.
///
/// # Panics
/// When the directory becomes too long.
pub async fn node(context: Context, dir: Dir, ttl: Duration) {
    let layout = Layout::new(&dir).expect("a layout");
    let options = Options::new().leader_ttl(ttl).node_ttl(ttl * 2);
    let address = context.recorder.who().to_owned();
    for run in 0.. {
        let (registry, session) = (Arc::clone(&context.registry), format!("{address}.{run}"));
        let starting = Scheduler::start(registry, layout.clone(), &session, &address, Arc::new(Idle), options);
        let started = tokio::select! {
            started = starting => started,
            () = context.stopped() => return,
        };
        match started {
            Ok(scheduler) => {
                let mut status = scheduler.watch();
                tokio::select! {
                    () = context.stopped() => {}
                    _ = status.wait_for(|status| status.failure.is_some()) => {}
                }
                scheduler.stop(LEAVING).await;
            }
            Err(error) => {
                context.recorder.record(What::Interrupted { why: error.to_string() });
            }
        }
        if !context.rest(Duration::from_millis(400)).await {
            return;
        }
    }
}
