//! Follows the members of a catalogue, and keeps a connection to each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use registry::{Backoff, Name};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep};
use tonic::transport::Endpoint;
use tower::discover::Change;

use super::connection::Connection;
use super::pool::{Member, Pool};
use super::wire::Loss;
use crate::Discover;

/// The pauses between two attempts to connect to one server. The longest bounds the delay until a server that is back is
/// used again.
pub(super) const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long a server may send nothing while requests are waiting. Then it gets no more requests until it has answered a new
/// connection. If it does so, it was only slow, and the limit is doubled, up to the longest.
pub(super) const SILENCE: Duration = Duration::from_secs(2);
const LONGEST_SILENCE: Duration = Duration::from_mins(1);

/// Runs until it is aborted.
pub(super) async fn follow(pool: Arc<Pool>, mut discover: Discover<Endpoint>) {
    let mut tasks = JoinSet::new();
    let mut running = HashMap::<Name, AbortHandle>::new();
    while let Some(Ok(change)) = discover.next().await {
        let former = match change {
            Change::Insert(name, endpoint) => {
                let uri = endpoint.uri();
                let address = uri.authority().map_or_else(|| uri.to_string(), ToString::to_string);
                let member = Member::new(name.clone(), address);
                pool.insert(&member);
                running.insert(name, tasks.spawn(keep_connected(Arc::clone(&pool), member, endpoint)))
            }
            Change::Remove(name) => {
                pool.remove(&name);
                running.remove(&name)
            }
        };
        if let Some(former) = former {
            former.abort();
        }
        while tasks.try_join_next().is_some() {}
    }
}

async fn keep_connected(pool: Arc<Pool>, member: Arc<Member>, endpoint: Endpoint) {
    let mut pauses = Backoff::new(SHORTEST_PAUSE, LONGEST_PAUSE);
    let mut silence_limit = SILENCE;
    let mut reported = false;
    loop {
        match Connection::open(Arc::clone(&member), &endpoint, silence_limit).await {
            Ok(connection) => {
                if reported {
                    tracing::info!(server = member.title(), "connected again; the server gets requests");
                    reported = false;
                }
                let (connection, since) = (Arc::new(connection), Instant::now());
                pool.add(&connection);
                let loss = connection.wire.lost().await;
                pool.disconnect(&member);
                member.set_problem(loss.to_string());
                tracing::debug!(server = member.title(), %loss, "connection lost; connecting again");
                if matches!(loss, Loss::Silent(_)) {
                    silence_limit = (silence_limit * 2).min(LONGEST_SILENCE);
                }
                // Back off from a server that drops every connection.
                if since.elapsed() >= LONGEST_PAUSE {
                    pauses.reset();
                    continue;
                }
            }
            Err(problem) => {
                if !reported {
                    let server = member.title();
                    tracing::warn!(
                        server,
                        problem,
                        "cannot connect to the server; it gets no requests until it is connected"
                    );
                    reported = true;
                }
                member.set_problem(problem);
            }
        }
        sleep(pauses.next_wait()).await;
    }
}
