//! What keeps a catalogue up to date.

use std::sync::Arc;

use registry_core::{Cause, Error, Event, Scope, Subscription};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Standing, State};
use crate::instance::Codec;
use crate::observe;

pub(super) struct Task<T, C> {
    scope: Scope,
    codec: C,
    state: watch::Sender<State<T>>,
}

impl<T: Clone + PartialEq, C: Codec<Item = T>> Task<T, C> {
    pub(super) fn new(scope: Scope, codec: C, state: watch::Sender<State<T>>) -> Self {
        Self { scope, codec, state }
    }

    /// Runs until nobody looks any more.
    pub(super) async fn run(self, mut subscription: Subscription) {
        loop {
            let event = tokio::select! {
                () = self.state.closed() => return,
                event = subscription.next() => event,
            };
            match event {
                Some(Ok(event)) => self.take(event),
                Some(Err(error)) => self.fail(error),
                // The members stay for whoever looks at them.
                None => return self.state.closed().await,
            }
        }
    }

    fn take(&self, event: Event) {
        match event {
            Event::Snapshot { snapshot, cause } => {
                if let Cause::Gap(gap) = cause {
                    observe::gap(&self.scope, gap);
                }
                self.set(|state| {
                    state.members = state.members.replaced(snapshot, &self.codec);
                    state.standing = Standing::Known;
                    fresh(state);
                });
            }
            Event::Changes(batch) => {
                self.set(|state| state.members = state.members.changed(batch.changes, batch.index, &self.codec));
            }
            Event::Interrupted { error, stale_since, .. } => {
                observe::interrupted(&self.scope);
                self.set(|state| {
                    state.stale_since = Some(Instant::from_std(stale_since));
                    state.error = Some(Arc::new(error));
                });
            }
            Event::Resumed { .. } => self.set(fresh),
        }
    }

    /// A permanent error is the subscription's last word. What is known stays.
    fn fail(&self, error: Error) {
        tracing::error!(scope = %self.scope, %error, "the members are not followed any more; what is known is kept");
        self.set(|state| {
            state.stale_since.get_or_insert_with(Instant::now);
            state.error = Some(Arc::new(error));
            if state.standing == Standing::Unknown {
                state.standing = Standing::Failed;
            }
        });
    }

    fn set(&self, change: impl FnOnce(&mut State<T>)) {
        self.state.send_modify(change);
        let state = self.state.borrow();
        observe::members(
            &self.scope,
            state.members.len(),
            state.members.rejected().count(),
            state.stale_since.is_some(),
        );
    }
}

fn fresh<T>(state: &mut State<T>) {
    state.stale_since = None;
    state.error = None;
}
