//! Reading a whole scope, page by page, at one revision.

use std::time::Duration;

use etcd_client::GetOptions;
use etcd_client::proto::{PbKeyValue, PbRangeResponse};
use registry_core::{Entry, Error, ErrorKind, Index, Result, Scope, Snapshot, printable};
use tokio::task::yield_now;
use tokio::time::Instant;

use crate::backend::Inner;
use crate::connection::MESSAGE_LIMIT;
use crate::endpoints::Task;
use crate::error::Failure;
use crate::wire::{Range, stamp};

/// The first page. The server builds all of it before it sends the first byte, whatever the values are: nothing is known of
/// them yet, and others may write larger ones than this backend does.
const PAGE: usize = 40;
/// The largest record that a server takes by default (`--max-request-bytes`).
const RECORD_MAX: usize = 3 * 1024 * 1024 / 2;
// The first page can be read whatever is in it.
const _: () = assert!(PAGE * RECORD_MAX <= MESSAGE_LIMIT);
/// Each page costs the way to the server and back, so after a page of small entries the next one is this many times as large,
const GROWTH: usize = 8;
/// up to this many entries,
const PAGE_MAX: usize = 2000;
/// and up to about as many bytes, if its entries are like those before.
const PAGE_BYTES: usize = 2 * 1024 * 1024;
/// Of the largest values no fewer than this are asked for at once.
const PAGE_MIN: usize = 4;
/// What a directory may hold. More is not a cluster, and is refused before it eats the memory.
pub(crate) const MAX_ENTRIES: usize = 100_000;
const MAX_BYTES: usize = 256 * 1024 * 1024;
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
        let (mut read, mut limit, mut at) = (Read::default(), Limit::default(), None);
        let (mut start, mut revision) = (range.start.clone(), 0);
        let mut asked = self.page(scope, &range, &start, revision, limit.entries).await;
        loop {
            if began.elapsed() > LIMIT {
                return Err(task.error(ErrorKind::Timeout, "the list took too long to read"));
            }
            let page = match asked {
                Err(error) if error.kind() == ErrorKind::Compacted => return Ok(Pass::Torn(error.to_string())),
                Err(error) => return Err(error),
                Ok(Some(page)) => page,
                Ok(None) if limit.halve() => {
                    asked = self.page(scope, &range, &start, revision, limit.entries).await;
                    continue;
                }
                Ok(None) => return Err(too_large(&task, &start)),
            };
            check_count(&task, page.count)?;
            self.leader.observe(page.header.as_ref());
            let stamp = stamp(page.header.as_ref()).map_err(|failure| failure.into_error("list", scope.path()))?;
            // Every page tells the newest revision; only that of the first one was asked for.
            let at: Index = *at.get_or_insert(stamp);
            if stamp.epoch() != at.epoch() || stamp.position() < at.position() {
                return Ok(Pass::Torn("the endpoints belong to different clusters".into()));
            }
            let average = read.count(&page.kvs);
            let next = page.kvs.last().map(|record| [&record.key[..], &[0]].concat());
            let take = || page.kvs.into_iter().filter_map(|record| self.paths.entry(scope, at.epoch(), record));
            match next {
                Some(next) if page.more => {
                    limit.grow(average);
                    (start, revision) = (next, at.position().cast_signed());
                    let next = self.page(scope, &range, &start, revision, limit.entries);
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

    /// One page, for which there is as much time as for any other request. `None`: it has more bytes than one answer may have.
    async fn page(
        &self,
        scope: &Scope,
        range: &Range,
        start: &[u8],
        revision: i64,
        limit: usize,
    ) -> Result<Option<PbRangeResponse>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut options = GetOptions::new().with_limit(limit).with_revision(revision);
        if let Some(end) = &range.end {
            options = options.with_range(end.clone());
        }
        let request = |connection: crate::connection::Connection| {
            let (start, options) = (start.to_vec(), options.clone());
            async move {
                match connection.kv().get(start, Some(options)).await {
                    Ok(response) => Ok(Some(response.0)),
                    Err(error) if is_too_large(&error) => Ok(None),
                    Err(error) => Err(Failure::from(error)),
                }
            }
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
        let (count, megabytes) = (self.records, MAX_BYTES >> 20);
        let reason = format!(
            "the first {count} entries hold {} MiB, and a list may hold {megabytes} MiB: divide the directory, or write \
             smaller values",
            self.bytes >> 20
        );
        Err(task.error(ErrorKind::TooLarge, &reason))
    }
}

/// What the server says of the whole range, so that nobody reads a directory that is refused in the end.
fn check_count(task: &Task<'_>, count: i64) -> Result<()> {
    match usize::try_from(count) {
        Ok(count) if count > MAX_ENTRIES => {
            let reason = format!("the directory holds {count} entries, and a list may hold {MAX_ENTRIES}: divide it");
            Err(task.error(ErrorKind::TooLarge, &reason))
        }
        _ => Ok(()),
    }
}

/// How many entries the next page may have.
struct Limit {
    entries: usize,
    /// Falls when a page was too large.
    most: usize,
}

impl Default for Limit {
    fn default() -> Self {
        Self { entries: PAGE, most: PAGE_MAX }
    }
}

impl Limit {
    /// After a page that was read: an entry has so many bytes on average.
    fn grow(&mut self, average: usize) {
        let by_bytes = (PAGE_BYTES / average.max(1)).max(PAGE_MIN);
        self.entries = by_bytes.min(GROWTH * self.entries).min(self.most);
    }

    /// After a page that was too large. False when it was one entry.
    fn halve(&mut self) -> bool {
        let half = self.entries / 2;
        if half == 0 {
            return false;
        }
        (self.entries, self.most) = (half, half);
        true
    }
}

/// Whether the answer is larger than this client reads, or than a proxy or the server sends. The connection is as good as before.
fn is_too_large(error: &etcd_client::Error) -> bool {
    let etcd_client::Error::GRpcStatus(status) = error else { return false };
    let has = |words| status.message().contains(words);
    match status.code() {
        tonic::Code::OutOfRange => has("message length too large"),
        // Of Go's gRPC.
        tonic::Code::ResourceExhausted => has("message larger than max"),
        _ => false,
    }
}

fn too_large(task: &Task<'_>, start: &[u8]) -> Error {
    let reason = format!(
        "the entry at or after {} alone is larger than the {} MiB that one answer may have",
        printable(&String::from_utf8_lossy(start).replace('\0', "")),
        MESSAGE_LIMIT >> 20
    );
    task.error(ErrorKind::TooLarge, &reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_small_entries_grow_and_those_of_large_ones_do_not() {
        let pages = |averages: &[usize]| {
            let mut limit = Limit::default();
            let next = |average: &usize| {
                let before = limit.entries;
                limit.grow(*average);
                before
            };
            averages.iter().map(next).collect::<Vec<_>>()
        };
        assert_eq!(pages(&[60, 60, 60, 60, 0]), [40, 320, 2000, 2000, 2000]);
        assert_eq!(pages(&[4096, 4096, 4096]), [40, 320, 512]);
        assert_eq!(pages(&[60, 60, 65_536, 65_536]), [40, 320, 2000, 32]);
        assert_eq!(pages(&[1_400_000, 1_400_000]), [40, PAGE_MIN]);
    }

    #[test]
    fn a_page_that_is_too_large_is_halved_down_to_one_entry() {
        let mut limit = Limit::default();
        let mut halves = Vec::new();
        while limit.halve() {
            halves.push(limit.entries);
        }
        assert_eq!(halves, [20, 10, 5, 2, 1]);
        limit.grow(60);
        assert_eq!(limit.entries, 1, "what was too large is not tried again");
    }

    #[test]
    fn a_limit_is_told_as_one() {
        let task = Task::new("list", "/big");
        let mut read = Read::default();
        assert!(check_count(&task, 100_000).is_ok() && check_count(&task, -1).is_ok());
        let error = check_count(&task, 200_000).unwrap_err();
        assert!(error.kind() == ErrorKind::TooLarge && error.to_string().contains("200000"), "{error}");
        (read.records, read.bytes) = (190, MAX_BYTES);
        assert!(read.check(&task).is_ok());
        read.bytes += 1;
        let error = read.check(&task).unwrap_err();
        assert!(error.kind() == ErrorKind::TooLarge && error.to_string().contains("256 MiB"), "{error}");
        let error = too_large(&task, b"/big/one\0");
        assert!(error.to_string().contains("after /big/one alone"), "{error}");
    }
}
