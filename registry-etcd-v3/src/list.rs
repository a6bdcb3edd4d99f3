//! Reading a whole scope, page by page, at one revision.

use std::time::Duration;

use etcd_client::GetOptions;
use etcd_client::proto::PbRangeResponse;
use registry_core::{Entry, ErrorKind, Index, Result, Scope, Snapshot};
use tokio::time::Instant;

use crate::backend::Inner;
use crate::endpoints::Task;
use crate::error::Failure;
use crate::wire::{Range, stamp};

/// Ten thousand members in one answer are more than a client accepts by default, and more than it should.
const PAGE: i64 = 500;
/// What a directory may hold. More is not a cluster, and is refused before it eats the memory.
pub(crate) const MAX_ENTRIES: usize = 100_000;
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// How often a list begins again because somebody compacted the history between two pages.
const ATTEMPTS: usize = 4;
/// How long a list of many pages may take.
const LIMIT: Duration = Duration::from_secs(20);

/// What one pass over the pages came to.
enum Pass {
    Whole(Snapshot),
    /// The revision of the first page is gone, or the pages are of two clusters.
    Torn(String),
}

impl Inner {
    pub(crate) async fn list(&self, scope: &Scope) -> Result<Snapshot> {
        let began = Instant::now();
        let mut why = String::new();
        for _ in 0..ATTEMPTS {
            match self.pass(scope, began).await? {
                Pass::Whole(snapshot) => return Ok(snapshot),
                Pass::Torn(reason) => why = reason,
            }
        }
        let reason = format!("the pages of the list never belonged together: {why}");
        Err(Task::new("list", scope.path()).error(ErrorKind::Unavailable, &reason))
    }

    async fn pass(&self, scope: &Scope, began: Instant) -> Result<Pass> {
        let range = self.paths.range(scope);
        let mut entries: Vec<Entry> = Vec::new();
        let (mut bytes, mut start, mut at): (_, _, Option<Index>) = (0, range.start.clone(), None);
        loop {
            let task = Task::new("list", scope.path());
            if began.elapsed() > LIMIT {
                return Err(task.error(ErrorKind::Timeout, "the list took too long to read"));
            }
            let revision = at.map_or(0, |at| at.position().cast_signed());
            let page = match self.page(&task, &range, &start, revision).await {
                Err(error) if error.kind() == ErrorKind::Compacted => return Ok(Pass::Torn(error.to_string())),
                page => page?,
            };
            let stamp = stamp(page.header.as_ref()).map_err(|failure| failure.into_error("list", scope.path()))?;
            // Every page tells the newest revision; only that of the first one was asked for.
            let at = *at.get_or_insert(stamp);
            if stamp.epoch() != at.epoch() || stamp.position() < at.position() {
                return Ok(Pass::Torn("the endpoints belong to different clusters".into()));
            }
            let more = page.more;
            let last = page.kvs.last().map(|record| record.key.clone());
            for record in page.kvs {
                bytes += record.key.len() + record.value.len();
                entries.extend(self.paths.entry(scope, at.epoch(), record));
            }
            if entries.len() > MAX_ENTRIES || bytes > MAX_BYTES {
                let reason = format!("there is more than a list may hold ({MAX_ENTRIES} entries, {MAX_BYTES} bytes)");
                return Err(task.error(ErrorKind::Unexpected, &reason));
            }
            match last {
                Some(last) if more => {
                    start = last;
                    start.push(0);
                }
                None if more => {
                    return Err(task.error(ErrorKind::Unexpected, "the server sent an empty page and promised more"));
                }
                _ => {
                    entries.sort_by(|a, b| a.name.cmp(&b.name));
                    return Ok(Pass::Whole(Snapshot { entries, index: at }));
                }
            }
        }
    }

    async fn page(&self, task: &Task<'_>, range: &Range, start: &[u8], revision: i64) -> Result<PbRangeResponse> {
        let mut options = GetOptions::new().with_limit(PAGE).with_revision(revision);
        if let Some(end) = &range.end {
            options = options.with_range(end.clone());
        }
        let request = |connection: crate::connection::Connection| {
            let (start, options) = (start.to_vec(), options.clone());
            async move { Ok(connection.kv().get(start, Some(options)).await.map_err(Failure::from)?.0) }
        };
        Ok(self.endpoints.ask(task, request).await?)
    }
}
