//! A watch: what differs between one look and the next.

use std::sync::Arc;

use futures_util::stream::unfold;
use registry_core::{Batch, BatchStream, Error, ErrorKind, Index, Result, Scope, batch_stream};
use tokio::sync::watch;

use crate::error::again;
use crate::poll::{Poll, Polls, Told};
use crate::state::State;

pub(crate) async fn watch(polls: &Arc<Polls>, scope: &Scope, after: Index) -> Result<BatchStream> {
    let poll = polls.join(scope).await?;
    let Some(state) = polls.state_at(scope, &poll, after) else {
        return Err(gone(scope, &format!("what was there at {after:#} is not known any more")));
    };
    let mut told = poll.told.clone();
    // What the poll saw last may be beyond the state at which this begins.
    told.mark_changed();
    let watch = Watch { scope: scope.clone(), _poll: poll, told, state };
    Ok(batch_stream(unfold(Some(watch), |watch| async {
        let mut watch = watch?;
        match watch.next().await {
            Ok(batch) => Some((Ok(batch), Some(watch))),
            Err(error) => Some((Err(error.during("watch")), None)),
        }
    })))
}

struct Watch {
    scope: Scope,
    /// Keeps the poll running.
    _poll: Arc<Poll>,
    told: watch::Receiver<Told>,
    /// Up to here everything was told.
    state: Arc<State>,
}

impl Watch {
    async fn next(&mut self) -> Result<Batch> {
        loop {
            let ended = || Error::new(ErrorKind::Unavailable, format!("{}: the query ended", self.scope));
            self.told.changed().await.map_err(|_| ended())?;
            let told = self.told.borrow_and_update().clone();
            let state = match told {
                Told::State(state) => state,
                Told::Failed(error) => return Err(again(&error)),
            };
            if state.epoch != self.state.epoch {
                return Err(gone(
                    &self.scope,
                    "the server's history went backwards, or what it shows has changed without its index",
                ));
            }
            // A list was newer than what the poll has seen so far.
            if state.index < self.state.index {
                continue;
            }
            let changes = self.state.changes(&state);
            if state.index == self.state.index && !changes.is_empty() {
                return Err(gone(&self.scope, "the server's history is another one"));
            }
            self.state = state;
            return Ok(Batch { changes, index: self.state.point() });
        }
    }
}

fn gone(scope: &Scope, why: &str) -> Error {
    Error::new(ErrorKind::Compacted, format!("{scope}: {why}"))
}
