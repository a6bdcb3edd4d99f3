//! Reading a whole scope, page by page, at one revision.

use std::time::Duration;

use etcd_client::GetOptions;
use etcd_client::proto::{PbKeyValue, PbRangeResponse};
use registry_core::{Entry, ErrorKind, Index, Result, Scope, Snapshot};
use tokio::task::yield_now;
use tokio::time::Instant;

use crate::backend::Inner;
use crate::endpoints::Task;
use crate::error::Failure;
use crate::wire::{Range, stamp};

/// The first page, and the smallest one: of the largest values that there may be, more in one answer are too much for a server.
const PAGE: usize = 500;
/// Each page costs the way to the server and back, so after a page of small entries the next one is twice as large, up to this.
const PAGE_MAX: usize = 2000;
/// And up to about as many bytes, if its entries are like those before.
const PAGE_BYTES: usize = 1024 * 1024;
/// What a directory may hold. More is not a cluster, and is refused before it eats the memory.
pub(crate) const MAX_ENTRIES: usize = 100_000;
const MAX_BYTES: usize = 64 * 1024 * 1024;
// A page of the largest values that there may be fits into what a list may hold.
const _: () = assert!(PAGE * (registry_core::MAX_VALUE + 1024) < MAX_BYTES);
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
        let (task, range) = (Task::new("list", scope.path()), self.paths.range(scope));
        let (mut read, mut limit, mut at) = (Read::default(), PAGE, None);
        let mut asked = self.page(scope, &range, &range.start, 0, limit).await;
        loop {
            if began.elapsed() > LIMIT {
                return Err(task.error(ErrorKind::Timeout, "the list took too long to read"));
            }
            let page = match asked {
                Err(error) if error.kind() == ErrorKind::Compacted => return Ok(Pass::Torn(error.to_string())),
                page => page?,
            };
            self.leader.observe(page.header.as_ref());
            let stamp = stamp(page.header.as_ref()).map_err(|failure| failure.into_error("list", scope.path()))?;
            // Every page tells the newest revision; only that of the first one was asked for.
            let at: Index = *at.get_or_insert(stamp);
            if stamp.epoch() != at.epoch() || stamp.position() < at.position() {
                return Ok(Pass::Torn("the endpoints belong to different clusters".into()));
            }
            let average = read.count(&page.kvs);
            let start = page.kvs.last().map(|record| [&record.key[..], &[0]].concat());
            let take = || page.kvs.into_iter().filter_map(|record| self.paths.entry(scope, at.epoch(), record));
            match start {
                Some(start) if page.more => {
                    limit = next_limit(limit, average);
                    let next = self.page(scope, &range, &start, at.position().cast_signed(), limit);
                    // The server looks for the next page while this one is taken apart.
                    let meanwhile = async {
                        yield_now().await;
                        read.entries.extend(take());
                    };
                    asked = tokio::join!(next, meanwhile).0;
                    read.check(&task)?;
                }
                None if page.more => {
                    return Err(task.error(ErrorKind::Unexpected, "the server sent an empty page and promised more"));
                }
                _ => {
                    read.entries.extend(take());
                    read.check(&task)?;
                    let mut entries = read.entries;
                    entries.sort_by(|a, b| a.name.cmp(&b.name));
                    return Ok(Pass::Whole(Snapshot { entries, index: at }));
                }
            }
        }
    }

    /// One page, for which there is as much time as for any other request.
    async fn page(
        &self,
        scope: &Scope,
        range: &Range,
        start: &[u8],
        revision: i64,
        limit: usize,
    ) -> Result<PbRangeResponse> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut options = GetOptions::new().with_limit(limit).with_revision(revision);
        if let Some(end) = &range.end {
            options = options.with_range(end.clone());
        }
        let request = |connection: crate::connection::Connection| {
            let (start, options) = (start.to_vec(), options.clone());
            async move { Ok(connection.kv().get(start, Some(options)).await.map_err(Failure::from)?.0) }
        };
        Ok(self.endpoints.ask(&Task::new("list", scope.path()), request).await?)
    }
}

/// What the pages have shown so far.
#[derive(Default)]
struct Read {
    entries: Vec<Entry>,
    records: usize,
    bytes: usize,
}

impl Read {
    /// Counts the records of one more page. Returns how many bytes one has: on average, or in this page if that is more.
    fn count(&mut self, page: &[PbKeyValue]) -> usize {
        let bytes: usize = page.iter().map(|record| record.key.len() + record.value.len()).sum();
        self.records += page.len();
        self.bytes += bytes;
        (self.bytes / self.records.max(1)).max(bytes / page.len().max(1))
    }

    fn check(&self, task: &Task<'_>) -> Result<()> {
        if self.entries.len() <= MAX_ENTRIES && self.bytes <= MAX_BYTES {
            return Ok(());
        }
        let reason = format!("there is more than a list may hold ({MAX_ENTRIES} entries, {MAX_BYTES} bytes)");
        Err(task.error(ErrorKind::Unexpected, &reason))
    }
}

/// How many entries the next page may have, when the last one had this limit and an entry has so many bytes on average.
fn next_limit(limit: usize, average: usize) -> usize {
    (PAGE_BYTES / average.max(1)).min(2 * limit).clamp(PAGE, PAGE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_small_entries_grow_and_those_of_large_ones_do_not() {
        let pages = |averages: &[usize]| {
            let next = |limit: &mut usize, average: &usize| {
                let after = next_limit(*limit, *average);
                Some(std::mem::replace(limit, after))
            };
            averages.iter().scan(PAGE, next).collect::<Vec<_>>()
        };
        assert_eq!(pages(&[60, 60, 60, 60, 0]), [500, 1000, 2000, 2000, 2000]);
        assert_eq!(pages(&[1024, 1024, 1024]), [500, 1000, 1024]);
        assert_eq!(pages(&[60, 60, 65_536, 65_536]), [500, 1000, 2000, 500]);
    }
}
