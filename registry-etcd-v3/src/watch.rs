//! Following a scope: a stream of batches for as long as the connection lives.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use etcd_client::proto::{PbResponseHeader, PbWatchResponse};
use etcd_client::{GetOptions, WatchOptions, WatchRequestSender, WatchResponseStream};
use futures_util::stream::unfold;
use registry_core::{Batch, BatchStream, ErrorKind, Index, Result, Scope, batch_stream};
use tokio::time::{Instant, sleep_until};

use crate::backend::Inner;
use crate::batches::{Batches, cancelled};
use crate::connection::Connection;
use crate::endpoints::Task;
use crate::error::{Answer, Failure, Verdict};
use crate::wire::{Range, stamp};

/// A healthy watch delivers something at least this often.
pub(crate) const IDLE_LIMIT: Duration = Duration::from_secs(30);
/// After this long without a message the server is asked whether it is still there.
const ASK_AFTER: Duration = Duration::from_secs(10);
/// And must answer within this.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A watch that the server has confirmed.
struct Opened {
    connection: Connection,
    /// The sending half is never used for long, but dropping it closes the stream.
    requests: WatchRequestSender,
    messages: WatchResponseStream,
    /// Of the confirmation.
    header: Option<PbResponseHeader>,
    epoch: u64,
}

/// A running watch.
struct Watch {
    inner: Arc<Inner>,
    scope: Scope,
    opened: Opened,
    batches: Batches,
    heard: Instant,
    /// Set while an answer is awaited.
    asked: Option<Instant>,
}

/// Opens a watch, and returns when the server has confirmed it.
pub(crate) async fn open(inner: &Arc<Inner>, scope: &Scope, after: Index) -> Result<BatchStream> {
    let task = Task::new("watch", scope.path());
    let range = inner.paths.range(scope);
    let Ok(start) = i64::try_from(after.position()) else {
        return Err(task.error(ErrorKind::Compacted, "this index lies in no history of etcd"));
    };
    let request = |connection: Connection| {
        let range = range.clone();
        async move {
            let opened = create(connection, &range, start, after).await?;
            let version = opened.connection.version().await?;
            Ok((opened, version))
        }
    };
    let (opened, version) = inner.endpoints.ask(&task, request).await?;
    inner.loses_events.store(version.loses_events(), Ordering::Release);
    inner.leader.observe(opened.header.as_ref());
    let told = Index::new(opened.epoch, after.position());
    let batches = Batches::new(inner.paths.clone(), scope.clone(), told, version.tells_true_progress());
    let watch =
        Watch { inner: Arc::clone(inner), scope: scope.clone(), opened, batches, heard: Instant::now(), asked: None };
    Ok(batch_stream(unfold(Some(watch), |watch| async {
        let mut watch = watch?;
        match watch.next().await {
            Ok(batch) => Some((Ok(batch), Some(watch))),
            Err(failure) => Some((Err(watch.failed(failure)), None)),
        }
    })))
}

/// Creates the watch on one endpoint and waits for the confirmation, which is also where a refusal arrives.
///
/// It begins at `after` itself, not at the revision behind it; what is told a second time is dropped. There are two
/// reasons. A server loses a deletion at exactly the revision that it compacts at (before 3.4.36 and 3.5.18): this way
/// that can only be one that was told. And some servers (3.5.30) do not answer whether they are still there while they
/// wait for the first revision of a watch to come.
async fn create(connection: Connection, range: &Range, start: i64, after: Index) -> Answer<Opened> {
    // To etcd a start of 0 means "from now on".
    let mut options = WatchOptions::new().with_start_revision(start.max(1)).with_fragment();
    if let Some(end) = &range.end {
        options = options.with_range(end.clone());
    }
    let stream = connection.watches().watch(range.start.clone(), Some(options)).await?;
    let (requests, mut messages) = stream.split();
    let first: PbWatchResponse = messages.message().await?.ok_or_else(Failure::ended)?.0;
    if first.canceled {
        return Err(cancelled(&first));
    }
    if !first.created {
        return Err(Failure::unexpected("the watch does not begin with its confirmation"));
    }
    let now = stamp(first.header.as_ref())?;
    if !now.same_epoch(after) {
        return Err(Failure::compacted("this index belongs to another cluster"));
    }
    if now.position() < after.position() && latest(&connection, range).await? < after.position() {
        return Err(Failure::compacted("the server has not come this far: it was wiped or restored"));
    }
    Ok(Opened { connection, requests, messages, header: first.header, epoch: now.epoch() })
}

/// The latest revision of the cluster: a member that has just come back may lag behind it, and that is no gap.
async fn latest(connection: &Connection, range: &Range) -> Answer<u64> {
    let options = GetOptions::new().with_count_only();
    let response = connection.kv().get(range.start.clone(), Some(options)).await?.0;
    Ok(stamp(response.header.as_ref())?.position())
}

impl Watch {
    async fn next(&mut self) -> Answer<Batch> {
        loop {
            if let Some(batch) = self.batches.ready.pop_front() {
                return Ok(batch);
            }
            let wake = self.asked.map_or(self.heard + ASK_AFTER, |asked| asked + ANSWER_WITHIN);
            tokio::select! {
                // A message that is there already counts, however late it is read.
                biased;
                message = self.opened.messages.message() => {
                    let message = message?.ok_or_else(Failure::ended)?;
                    (self.heard, self.asked) = (Instant::now(), None);
                    self.inner.leader.observe(message.0.header.as_ref());
                    self.batches.take(message.0)?;
                }
                // A member that does not answer others may lag behind when it does again, and this watch with it.
                () = self.opened.connection.failed() => {
                    return Err(Failure::new(ErrorKind::Unavailable, Verdict::NotDone, "the endpoint does not answer other requests"));
                }
                () = sleep_until(wake) => {
                    if self.asked.is_some() {
                        return Err(Failure::silent(ASK_AFTER + ANSWER_WITHIN));
                    }
                    self.opened.requests.request_progress().await?;
                    self.asked = Some(Instant::now());
                }
            }
        }
    }

    /// The stream's last item. The next watch must not meet the same dead endpoint.
    fn failed(&self, mut failure: Failure) -> registry_core::Error {
        let at = self.opened.connection.at();
        if failure.blames_endpoint() {
            self.inner.endpoints.leave(at, Some(&self.opened.connection));
        }
        if (failure.kind, failure.verdict) == (ErrorKind::Unauthenticated, Verdict::Refused) {
            // The next watch gets a new token.
            failure.kind = ErrorKind::Unavailable;
        }
        let subject = format!("{} at {}", self.scope, self.inner.endpoints.label(at));
        failure.into_error("watch", &subject)
    }
}
