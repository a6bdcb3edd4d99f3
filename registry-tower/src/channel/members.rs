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

/// The pauses between two attempts to connect to one server. The longest is how much later than possible one that comes back
/// is noticed.
pub(super) const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long a server may send nothing while requests are waiting before it is asked for a sign of life, which is a new
/// connection. When it gives one, it was only slow, and the next time is twice as long, up to the longest.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
const LONGEST_PATIENCE: Duration = Duration::from_mins(1);

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
    let mut patience = PATIENCE;
    let mut reported = false;
    loop {
        match Connection::open(Arc::clone(&member), &endpoint, patience).await {
            Ok(connection) => {
                if reported {
                    tracing::info!(server = member.title(), "the server is connected again and gets requests");
                    reported = false;
                }
                let (connection, since) = (Arc::new(connection), Instant::now());
                pool.add(&connection);
                let loss = connection.wire.lost().await;
                pool.disconnect(&member);
                member.set_problem(loss.to_string());
                tracing::debug!(server = member.title(), %loss, "the connection is lost and made anew");
                if matches!(loss, Loss::Silent(_)) {
                    patience = (patience * 2).min(LONGEST_PATIENCE);
                }
                // A server that drops every connection must not be asked for one in a loop.
                if since.elapsed() >= LONGEST_PAUSE {
                    pauses.reset();
                    continue;
                }
            }
            Err(problem) => {
                if !reported {
                    let server = member.title();
                    tracing::warn!(server, problem, "the server cannot be reached; it gets no requests until it can");
                    reported = true;
                }
                member.set_problem(problem);
            }
        }
        sleep(pauses.next_wait()).await;
    }
}
