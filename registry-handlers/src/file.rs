//! One file: guard, render, check, write — each attempt from its beginning to its end.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use processes::Processes;
use tokio::task::spawn_blocking;

use crate::check::Check;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::Guard;
use crate::membership::Clusters;
use crate::news::News;
use crate::pending::Pending;
use crate::render::{Renderer, Skipped};
use crate::spec::FileSpec;
use crate::status::Written;
use crate::write::{Candidate, Writer};

/// One file that follows its clusters.
pub(crate) struct ManagedFile {
    core: Arc<Core>,
    check: Option<Check>,
    pub(crate) watch: Vec<Arc<str>>,
    pub(crate) window: std::time::Duration,
    /// What the check refused last: the same bytes are not checked again.
    refused: Option<(Vec<u8>, Error)>,
    met: bool,
}

/// What is used on threads that may block.
struct Core {
    writer: Writer,
    renderer: Renderer,
    notify: Vec<String>,
    pending: Pending,
    guard: Mutex<Guard>,
    /// Held while the file is replaced: a task that is stopped cannot stop the thread that works for it.
    closed: Mutex<bool>,
}

/// Closes a file: see [`Closer::close`].
pub(crate) struct Closer(Arc<Core>);

/// What one attempt did.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) written: Option<Written>,
    pub(crate) held: Option<String>,
    pub(crate) skipped: Skipped,
}

impl ManagedFile {
    /// # Errors
    /// `Config`.
    pub(crate) fn new(spec: &FileSpec, pending: &Pending) -> Result<Self> {
        let checked = || {
            if spec.watch.is_empty() {
                return Err(Error::config("`watch` is empty: name the cluster whose members the file shows"));
            }
            let core = Core {
                writer: Writer::new(spec)?,
                renderer: Renderer::new(spec)?,
                notify: spec.notify.clone(),
                pending: pending.clone(),
                guard: Mutex::new(Guard::new(spec)),
                closed: Mutex::new(false),
            };
            Ok(Self {
                core: Arc::new(core),
                check: Check::new(spec)?,
                watch: spec.watch.iter().map(|name| name.as_str().into()).collect(),
                window: spec.window,
                refused: None,
                met: false,
            })
        };
        checked().map_err(|error| error.about(&spec.dest))
    }

    pub(crate) fn dest(&self) -> &Path {
        self.core.writer.dest()
    }

    pub(crate) fn notify(&self) -> &[String] {
        &self.core.notify
    }

    /// Those who start after the file was written have nothing to be told.
    pub(crate) async fn forget(&self, notify: &BTreeSet<String>) {
        let core = Arc::clone(&self.core);
        let names: Vec<_> = core.notify.iter().filter(|name| notify.contains(*name)).cloned().collect();
        let forget = move || {
            for name in names {
                core.pending.forget(core.writer.dest(), &name);
            }
            Ok(())
        };
        // The only error is a panic; then it is told needlessly.
        let _ = blocking(forget).await;
    }

    pub(crate) fn closer(&self) -> Closer {
        Closer(Arc::clone(&self.core))
    }

    /// The clusters of this file; `None` while one of them was never listed.
    pub(crate) fn select(&self, clusters: &Clusters) -> Option<Clusters> {
        self.watch
            .iter()
            .map(|name| clusters.get_key_value(name).map(|(name, known)| (name.clone(), known.clone())))
            .collect()
    }

    /// The content for these members, without guards and without writing.
    ///
    /// # Errors
    /// `Render`, and `Write` when a file that is edited cannot be read.
    pub(crate) async fn preview(&self, clusters: Clusters) -> Result<Vec<u8>> {
        let core = Arc::clone(&self.core);
        let work = move || {
            let mut place = core.writer.look()?;
            let existing = if core.renderer.edits() { place.content()? } else { Vec::new() };
            core.renderer.render(&News::new(&clusters).model, &existing).map(|rendered| rendered.bytes)
        };
        blocking(work).await.map_err(|error| error.about(self.dest()))
    }

    /// One attempt to bring the file up to these members. Disk and rendering run on threads that may block. Cancelled, it
    /// either has replaced the file and marked that as pending, or has not replaced it.
    ///
    /// # Errors
    /// Every kind but `Config`; the old file is as it was.
    ///
    /// `tell` are the notifications that a change is pending for.
    pub(crate) async fn update(
        &mut self,
        clusters: Clusters,
        tell: &[String],
        processes: &Processes,
    ) -> Result<Report> {
        self.attempt(clusters, tell, processes).await.map_err(|error| error.about(self.dest()))
    }

    async fn attempt(&mut self, clusters: Clusters, tell: &[String], processes: &Processes) -> Result<Report> {
        let core = Arc::clone(&self.core);
        let (first, checked) = (!std::mem::replace(&mut self.met, true), self.check.is_some());
        let names = tell.to_owned();
        // One turn on another thread, unless a check has to have its say in between.
        let (mut report, candidate) = blocking(move || {
            let (mut report, mut staged) = core.stage(first, clusters, checked)?;
            if let Some(candidate) = staged.take_if(|_| !checked) {
                report.written = Some(core.commit(candidate, &names)?);
            }
            Ok((report, staged))
        })
        .await?;
        let Some(candidate) = candidate else {
            self.refused = None;
            return Ok(report);
        };
        self.accept(&candidate, processes).await?;
        let core = Arc::clone(&self.core);
        let tell = tell.to_owned();
        report.written = Some(blocking(move || core.commit(candidate, &tell)).await?);
        Ok(report)
    }

    async fn accept(&mut self, candidate: &Candidate, processes: &Processes) -> Result<()> {
        let (Some(check), Some(path)) = (&self.check, candidate.path()) else { return Ok(()) };
        if let Some((_, error)) = self.refused.as_ref().filter(|(bytes, _)| bytes == candidate.bytes()) {
            return Err(error.clone());
        }
        let checked = check.run(processes, path).await;
        self.refused = match &checked {
            Err(error) if error.kind() == ErrorKind::Check => Some((candidate.bytes().to_owned(), error.clone())),
            _ => None,
        };
        checked
    }
}

impl Closer {
    /// Once it returns, nothing is written any more.
    pub(crate) async fn close(self) {
        let close = move || {
            *self.0.closed.lock().unwrap_or_else(PoisonError::into_inner) = true;
            Ok(())
        };
        // The only error is a panic, and there is nothing in there that does.
        let _ = blocking(close).await;
    }
}

impl Core {
    /// What would be put in place, if the guard lets anything and it is not there already.
    fn stage(&self, first: bool, clusters: Clusters, check: bool) -> Result<(Report, Option<Candidate>)> {
        if first {
            // What an earlier run has left.
            self.writer.remove_leftovers();
            self.pending.adopt(self.writer.dest(), &self.notify);
        }
        let mut place = self.writer.look()?;
        let mut guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner);
        let admitted = guard.admit(clusters, place.has_content());
        drop(guard);
        let mut report = Report { held: admitted.held, ..Report::default() };
        let Some(clusters) = admitted.clusters else { return Ok((report, None)) };
        let news = Arc::new(News::new(&clusters));
        // Also when the content turns out to be the same: an earlier run may have left it to be told.
        self.pending.inform(self.writer.dest(), Arc::clone(&news));
        let existing = if self.renderer.edits() { place.content()? } else { Vec::new() };
        let rendered = self.renderer.render(&news.model, &existing)?;
        report.skipped = rendered.skipped;
        Ok((report, self.writer.stage(place, rendered.bytes, check)?))
    }

    /// The mark is there before the file is replaced, and visible only after it: whatever happens in between, somebody
    /// will be told, and nobody is told of the old content.
    fn commit(&self, candidate: Candidate, tell: &[String]) -> Result<Written> {
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        if *closed {
            return Err(Error::write("it is not followed any more"));
        }
        let bytes = candidate.bytes().len();
        self.pending.intend(self.writer.dest(), tell);
        match self.writer.commit(candidate) {
            Ok(atomic) => {
                self.pending.commit(self.writer.dest(), tell);
                Ok(Written { at: SystemTime::now(), bytes, atomic })
            }
            Err(error) => {
                self.pending.abandon(self.writer.dest());
                Err(error)
            }
        }
    }
}

/// A panic in there is a fault of this program; it is reported like a failed write, and the other files go on.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Error::write(format!("the work on it was interrupted: {error}"))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::Membership;
    use crate::spec::FileKind;

    #[tokio::test]
    async fn a_closed_file_is_not_written_by_what_was_on_its_way() {
        let directory = tempfile::tempdir().unwrap();
        let spec = FileSpec::new(FileKind::Json, ["db"], directory.path().join("db.json"));
        let mut file = ManagedFile::new(&spec, &Pending::in_memory()).unwrap();
        file.closer().close().await;
        let clusters = Clusters::from([(Arc::from("db"), Membership::default())]);
        let result = file.update(clusters, &[], &Processes::start().unwrap()).await;
        assert!(result.unwrap_err().to_string().ends_with("db.json: it is not followed any more"));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
