//! A client that follows a directory by itself: it lists, watches, and begins again after an error.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use registry::{BatchStream, Dir, ErrorKind, Index, Registry, Scope, Snapshot};

use super::list::Watching;
use crate::history::{Change, Members, What};
use crate::subjects::{Context, change, members};

/// What its user does with each batch: time in which connections break.
const HANDLING: Duration = Duration::from_millis(1);

pub(super) struct Watcher {
    pub(super) context: Context,
    pub(super) dir: Dir,
    pub(super) defect: Watching,
    /// Tells what the header of a message would: where the server's history stands.
    pub(super) headers: Arc<dyn Registry>,
    /// Where the history was compacted last, as etcd tells in its refusal.
    pub(super) compacted: Arc<AtomicU64>,
}

impl Watcher {
    pub(super) async fn run(self) {
        self.context.recorder.record(What::Watching { dir: self.dir.to_string() });
        tokio::select! {
            () = self.follow() => {}
            () = self.context.stopped() => {}
        }
    }

    async fn follow(&self) {
        let (mut view, mut first) = (Members::new(), None);
        let mut told: Option<Index> = None;
        loop {
            if told.is_none() {
                told = self.list(&mut view, &mut first).await;
            }
            let Some(at) = told else {
                tokio::time::sleep(Duration::from_millis(30)).await;
                continue;
            };
            told = match self.context.registry.watch(&self.scope(), at).await {
                Ok(batches) => self.read(batches, at, &mut view).await,
                Err(error) => self.after(error.kind(), at).await,
            };
            if self.defect == Watching::GivesUp {
                return std::future::pending().await;
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Reads the list, and tells it.
    async fn list(&self, view: &mut Members, first: &mut Option<Snapshot>) -> Option<Index> {
        let Ok(listed) = self.context.registry.list(&self.scope()).await else {
            if let Some(before) = first.as_ref().filter(|_| self.defect == Watching::EmptyOnFailure) {
                let (index, cause) = (before.index.position(), "Failed".to_owned());
                self.context.recorder.record(What::Snapshot { index, members: Members::new(), cause });
            }
            return None;
        };
        let shown = match first {
            Some(first) if self.defect == Watching::Stale => first.clone(),
            _ => listed.clone(),
        };
        first.get_or_insert_with(|| listed.clone());
        if self.defect != Watching::Additive {
            view.clear();
        }
        view.extend(members(&shown).into_iter().filter_map(|(name, seen)| Some((self.own(&name)?, seen))));
        let (members, index) = (view.clone(), shown.index.position());
        self.context.recorder.record(What::Snapshot { index, members, cause: "Listed".to_owned() });
        Some(listed.index)
    }

    /// Reads a watch until it breaks. Returns where to go on; `None`: with the list.
    async fn read(&self, mut batches: BatchStream, mut told: Index, view: &mut Members) -> Option<Index> {
        let mut header = None;
        loop {
            match batches.next().await {
                Some(Ok(batch)) => {
                    let changes: Vec<_> = batch.changes.iter().map(change).filter_map(|it| self.rename(it)).collect();
                    for change in &changes {
                        if let Change::Remove { name } = change {
                            view.remove(name);
                        }
                    }
                    if !changes.is_empty() {
                        let index = batch.index.position();
                        self.context.recorder.record(What::Changes { index, changes });
                        tokio::time::sleep(HANDLING).await;
                    }
                    told = batch.index;
                    if self.defect == Watching::Header {
                        // What the header of the message said, of which this is a part.
                        header = self.headers.list(&self.scope()).await.ok().map(|state| state.index).or(header);
                        told = header.filter(|header| header.position() > told.position()).unwrap_or(told);
                    }
                }
                Some(Err(error)) => return self.after(error.kind(), told).await,
                None => return self.after(ErrorKind::Unavailable, told).await,
            }
        }
    }

    /// Where to go on after an error.
    async fn after(&self, kind: ErrorKind, told: Index) -> Option<Index> {
        let moved = |position| Some(Index::new(told.epoch(), position));
        if kind == ErrorKind::Compacted {
            return match self.defect {
                Watching::Compaction => moved(self.compacted.load(Ordering::SeqCst)),
                _ => None,
            };
        }
        match self.defect {
            Watching::FromHead => self.patient_head().await,
            // Only once: the outage lasts, and it is asked again and again.
            Watching::OneTooFar => {
                self.patient_head().await;
                moved(told.position() + 1)
            }
            Watching::OneTooEarly => {
                self.patient_head().await;
                moved(told.position() - 1)
            }
            Watching::EmptyOnFailure | Watching::Stale => None,
            _ => Some(told),
        }
    }

    async fn head(&self) -> Option<Index> {
        self.context.registry.list(&self.scope()).await.ok().map(|snapshot| snapshot.index)
    }

    /// As soon as the server answers again.
    async fn patient_head(&self) -> Option<Index> {
        loop {
            if let Some(head) = self.head().await {
                return Some(head);
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    fn scope(&self) -> Scope {
        match self.defect {
            Watching::Textual => {
                let parent = self.dir.as_str().rsplit_once('/').map_or("/", |(parent, _)| parent);
                Scope::from(Dir::new(parent).expect("a directory below another one"))
            }
            _ => Scope::from(&self.dir),
        }
    }

    /// The name that it takes an entry for.
    fn own(&self, name: &str) -> Option<String> {
        if self.defect != Watching::Textual {
            return Some(name.to_owned());
        }
        let last = self.dir.as_str().rsplit('/').next()?;
        name.strip_prefix(last)?.split_once('/').map(|(_, name)| name.to_owned())
    }

    fn rename(&self, change: Change) -> Option<Change> {
        Some(match change {
            Change::Put { name, created, value } => Change::Put { name: self.own(&name)?, created, value },
            Change::Remove { name } => Change::Remove { name: self.own(&name)? },
        })
    }
}
