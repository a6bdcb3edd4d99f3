//! A watch: one long poll after the other, and a cursor that neither skips an event nor falls out of the window of 1000
//! events that the server remembers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::unfold;
use registry_address::Server;
use registry_core::{
    Batch, BatchStream, Bytes, Change, Entry, Error, ErrorKind, Index, Name, Removed, Result, Scope, batch_stream,
    printable,
};
use registry_http::{Failure, Repeat, unexpected};

use crate::backend::Inner;
use crate::paths::{Place, is_within};
use crate::poll::{Poll, Waited};
use crate::wire::{Effect, Event, Node};

/// A member that has lost the majority serves watches that stay silent for ever. So a member is asked, at least this
/// often, for something that it cannot answer alone.
const PROOF_AGE: Duration = Duration::from_secs(5);
/// Whoever was told of an event acts first: a new poll is work for the server and for us, often on the cores that he needs. The
/// history keeps what happens meanwhile.
const REST: Duration = Duration::from_millis(1);
/// Events that follow each other faster than this are read without a rest.
const BURST: Duration = Duration::from_millis(10);
/// A server that closes so many polls in a row without an event does not serve watches.
const CLOSED_MAX: u32 = 5;

pub(crate) async fn watch(inner: Arc<Inner>, scope: Scope, after: Index) -> Result<BatchStream> {
    let path = inner.prefix.on_server(scope.path());
    let epoch = after.epoch();
    let mut watch = Watch {
        inner,
        scope,
        path,
        epoch,
        cursor: after.position(),
        searched: None,
        poll: None,
        closed: 0,
        alone: false,
    };
    watch.poll = Some(watch.open().await?);
    Ok(batch_stream(unfold(Some(watch), |watch| async {
        let mut watch = watch?;
        match watch.next().await {
            Ok(batch) => Some((Ok(batch), Some(watch))),
            Err(error) => Some((Err(error.during("watch")), None)),
        }
    })))
}

struct Watch {
    inner: Arc<Inner>,
    scope: Scope,
    path: String,
    /// 0 until the first answer, when it was not known.
    epoch: u64,
    /// Everything up to here was told, or does not concern this scope.
    cursor: u64,
    /// Up to here the last poll has found nothing. When the next one finds nothing either, the cursor may go there.
    searched: Option<u64>,
    poll: Option<Poll>,
    closed: u32,
    /// The last event was waited for, so nothing says that another one follows at once.
    alone: bool,
}

impl Watch {
    async fn next(&mut self) -> Result<Batch> {
        loop {
            let mut poll = if let Some(poll) = self.poll.take() {
                poll
            } else {
                if self.alone {
                    tokio::time::sleep(REST).await;
                }
                self.open().await?
            };
            let begun = Instant::now();
            match poll.wait(self.inner.pace.slice()).await {
                Waited::Event(event) => {
                    self.closed = 0;
                    self.alone = begun.elapsed() > BURST;
                    return self.tell(*event);
                }
                Waited::Silent => {
                    self.closed = 0;
                    return Ok(self.advance(poll.index.position()));
                }
                Waited::Closed => self.breathe().await?,
                Waited::Broken(error) => return Err(error),
            }
        }
    }

    /// After a poll without an event.
    ///
    /// The server has searched its history up to `position` before it began to wait. An event found there follows the
    /// headers at once, so after a silent poll there was none; unless just that event was lost on its way. Two polls
    /// in a row, on two connections, do not both lose it: the cursor follows one poll behind.
    fn advance(&mut self, position: u64) -> Batch {
        if let Some(searched) = self.searched.replace(position) {
            self.cursor = self.cursor.max(searched);
        }
        Batch { changes: Vec::new(), index: self.index() }
    }

    /// After a poll that was closed: that is no event and no error, but it must not become a busy loop.
    async fn breathe(&mut self) -> Result<()> {
        self.closed += 1;
        if self.closed >= CLOSED_MAX {
            let message = format!("{}: the server closes every watch without an answer", self.path);
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        tokio::time::sleep(Duration::from_millis(20) * self.closed).await;
        Ok(())
    }

    /// Opens the next poll, on the next endpoint if need be.
    async fn open(&mut self) -> Result<Poll> {
        let (poll, _) = self.inner.endpoints.call(Repeat::Freely, |at| self.open_at(at)).await?;
        self.inner.pace.note(poll.index.position(), Instant::now());
        self.epoch = poll.index.epoch();
        Ok(poll)
    }

    async fn open_at(&self, at: Server) -> std::result::Result<Poll, Failure> {
        let inner = &self.inner;
        if inner.endpoints.is_unproven(at, PROOF_AGE) {
            let index = self.prove(at).await?;
            self.check(at, index)?;
        }
        let recursive = matches!(self.scope, Scope::Directory(_));
        let wait_index = self.cursor.saturating_add(1);
        let poll = match inner.endpoints.poll(at, &self.path, recursive, wait_index).await? {
            Ok(poll) => poll,
            Err(refusal) => return Err(Failure::Final(refusal.into_error(&self.path))),
        };
        if poll.index.position() < self.cursor && poll.index.same_epoch(self.index()) {
            // A history that went backwards, or a member that is late: it will wait until it has caught up. The
            // majority knows.
            let index = self.prove(at).await?;
            self.check(at, index)?;
        } else {
            self.check(at, poll.index)?;
        }
        Ok(poll)
    }

    async fn prove(&self, at: Server) -> std::result::Result<Index, Failure> {
        match &self.scope {
            // Below the directory, so that whoever may read that may read this; hidden, so that nobody lists it; and
            // absent, so that the answer is short.
            Scope::Directory(_) => self.inner.endpoints.prove(at, &format!("{}/_index", self.path)).await,
            Scope::Entry(_) => self.inner.endpoints.prove(at, &self.path).await,
        }
    }

    /// Is this the history that the cursor belongs to? A server accepts an index from the future, and would wait for it
    /// in silence while everything before it happens again.
    fn check(&self, at: Server, index: Index) -> std::result::Result<(), Failure> {
        let told = self.index();
        if index.same_epoch(told) && index.position() >= told.position() {
            return Ok(());
        }
        let endpoint = self.inner.endpoints.label(at);
        let message =
            format!("{endpoint}: {}: the history is another one: it stands at {index:#}, we at {told:#}", self.path);
        Err(Failure::Final(Error::new(ErrorKind::Compacted, message)))
    }

    /// Makes a batch of an event and moves the cursor to it. Never to the index in the answer's headers: that is where
    /// the history stood when the poll began, which may be far beyond this event.
    fn tell(&mut self, event: Event) -> Result<Batch> {
        let at = event.node.modified_index;
        if at <= self.cursor {
            let what = format!("an event of index {at} came after {}", self.cursor);
            return Err(unexpected("watch", &self.path, what));
        }
        let change = self.change(event)?;
        self.cursor = at;
        self.searched = None;
        Ok(Batch { changes: change.into_iter().collect(), index: self.index() })
    }

    fn change(&self, event: Event) -> Result<Option<Change>> {
        let Some(effect) = event.effect() else {
            let action = printable(&event.action);
            return Err(unexpected("watch", &self.path, format!("the action {action:?} is not known")));
        };
        let Event { node, prev_node, .. } = event;
        if node.dir {
            return self.directory_change(effect, &node, prev_node);
        }
        let Some(name) = self.name(&node.key) else { return Ok(None) };
        Ok(Some(match effect {
            Effect::Removed(reason) => Change::Remove { name, reason },
            Effect::Created | Effect::Updated => {
                let index = Index::new(self.epoch, node.created_index);
                Change::Put(Entry { name, value: Bytes::from(node.value), index })
            }
        }))
    }

    /// A directory that goes takes everything below it along, and the server tells that in one event.
    fn directory_change(&self, effect: Effect, node: &Node, before: Option<Node>) -> Result<Option<Change>> {
        match effect {
            Effect::Removed(_) => {
                let hidden_or_elsewhere = matches!(self.inner.prefix.place(&self.scope, &node.key), Place::Outside);
                if is_within(&self.path, &node.key) || !hidden_or_elsewhere {
                    let key = printable(&node.key);
                    let message = format!("{}: the directory {key} was removed with all that it held", self.path);
                    return Err(Error::new(ErrorKind::Compacted, message));
                }
                Ok(None)
            }
            // An entry can be replaced by a directory; a new directory by itself is nothing.
            Effect::Created | Effect::Updated => Ok(before
                .filter(|before| !before.dir)
                .and_then(|_| self.name(&node.key))
                .map(|name| Change::Remove { name, reason: Removed::Deleted })),
        }
    }

    fn name(&self, key: &str) -> Option<Name> {
        match self.inner.prefix.place(&self.scope, key) {
            Place::At(name) => Some(name),
            Place::Outside => None,
            Place::Invalid(error) => {
                tracing::warn!(scope = %self.scope, %error, "an entry is left out, for its name is not allowed");
                None
            }
        }
    }

    fn index(&self) -> Index {
        Index::new(self.epoch, self.cursor)
    }
}
