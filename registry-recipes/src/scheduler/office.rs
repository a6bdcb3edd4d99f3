//! Standing for the leadership, again and again.

use std::sync::Arc;
use std::time::Duration;

use registry_core::{Backoff, Error, Registry};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::layout::Layout;
use super::options::Options;
use super::status::{Status, Stop, Stopping};
use super::term::Term;
use crate::{Election, Leadership};

/// Leads whenever it can, until it is told to stop and the node has left.
pub(super) async fn stand(
    registry: Arc<dyn Registry>,
    layout: Layout,
    session: String,
    options: Options,
    status: watch::Sender<Status>,
    mut stopping: Stopping,
) {
    let election = Election::new(Arc::clone(&registry), layout.candidates.clone()).ttl(options.leader_ttl);
    let mut backoff = Backoff::new(Duration::from_millis(200), options.leader_ttl.max(Duration::from_secs(1)));
    loop {
        // It has withdrawn before it returns: nobody waits for a candidate that has gone.
        let mut giving_up = stopping.clone();
        let withdrawing = async { _ = giving_up.asked().await };
        let term = match election.campaign_unless(withdrawing, session.clone()).await {
            Ok(None) => return,
            Ok(Some(leadership)) => {
                let term = Term::begin(&registry, &layout, &options, leadership, &session);
                tokio::select! {
                    biased;
                    // Nothing was begun: dropping it withdraws.
                    _ = stopping.asked() => return,
                    term = term => term.map_err(|(leadership, error)| (Some(leadership), error)),
                }
            }
            Err(error) => Err((None, error)),
        };
        let (leadership, error) = match term {
            Err(failed) => failed,
            Ok(mut term) => {
                backoff.reset();
                let token = term.leadership.token();
                tracing::info!(%session, "leads with token {token:#}");
                status.send_modify(|status| status.leading = Some(token));
                let ended = tokio::select! {
                    biased;
                    stop = stopped(&mut stopping, &status) => Err(stop),
                    ended = term.run() => Ok(ended),
                };
                status.send_modify(|status| status.leading = None);
                let leadership = term.end().await;
                match ended {
                    Err(stop) => {
                        resign(leadership, stop.until).await;
                        return;
                    }
                    Ok(ended) => (Some(leadership), ended.err().unwrap_or_else(|| Error::config("the term ended"))),
                }
            }
        };
        let wait = backoff.next_wait();
        tracing::warn!(%session, "does not lead: {error}; standing again in {wait:?}");
        if let Some(leadership) = leadership {
            resign(leadership, Instant::now() + wait).await;
        }
        sleep(wait).await;
    }
}

/// Returns when it is time to resign: a leader that stops goes on leading while its own node leaves.
async fn stopped(stopping: &mut Stopping, status: &watch::Sender<Status>) -> Stop {
    let stop = stopping.asked().await;
    let mut left = status.subscribe();
    let gone = left.wait_for(|status| status.registration == registry_core::State::Released);
    // The agent has its own limit, which is a little shorter.
    let _ = timeout_at(stop.until, gone).await;
    stop
}

async fn resign(leadership: Leadership, until: Instant) {
    if !matches!(timeout_at(until, leadership.resign()).await, Ok(Ok(()))) {
        tracing::debug!("could not resign; the time to live will");
    }
}
