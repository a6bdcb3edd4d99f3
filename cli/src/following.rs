//! The members of the watched clusters, listed once and then followed.

use std::sync::Arc;
use std::time::Duration;

use registry::{ErrorKind, Event, Registry, RegistryExt, Scope, Snapshot};
use registry_handlers::Memberships;
use tokio::task::JoinSet;

use crate::configuration::{Configuration, WatchSpec};
use crate::exit::Outcome;
use crate::patience::patiently;

/// Follows clusters until it is dropped.
#[derive(Debug)]
pub(crate) struct Following {
    pub(crate) memberships: Memberships,
    /// What was listed, until it is followed.
    listed: Vec<(WatchSpec, Snapshot)>,
    tasks: JoinSet<()>,
}

impl Following {
    /// Lists every cluster, so that each has a state that was the truth. Waits for the registry up to `limit`.
    pub(crate) async fn list(registry: &dyn Registry, watches: Vec<WatchSpec>, limit: Duration) -> Outcome<Self> {
        let memberships = Memberships::new();
        let mut listed = Vec::new();
        for watch in watches {
            let scope = Scope::from(&watch.dir);
            let snapshot = patiently(registry, limit, || registry.list(&scope)).await?;
            memberships.replace(&watch.name, &snapshot);
            listed.push((watch, snapshot));
        }
        Ok(Self { memberships, listed, tasks: JoinSet::new() })
    }

    /// Returns when one of the readers has gone by a panic. Cancel safe.
    pub(crate) async fn broken(&mut self) {
        loop {
            match self.tasks.join_next().await {
                Some(Err(error)) if error.is_panic() => return,
                // What its registry refuses for good is said by the reader itself.
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Takes every change in from now on; none that came since the list is missed.
    pub(crate) fn start(&mut self, registry: &Arc<dyn Registry>, configuration: &Configuration) {
        for (watch, snapshot) in self.listed.drain(..) {
            let options = configuration.subscribe_options(&watch);
            let mut events = registry.subscribe_from(&watch.dir, snapshot, options);
            let memberships = self.memberships.clone();
            self.tasks.spawn(async move {
                let mut view = View::default();
                while let Some(event) = events.next().await {
                    match event {
                        Ok(event) => {
                            say(&watch, &event, &mut view);
                            memberships.apply(&watch.name, &event);
                        }
                        Err(error) => tracing::error!("{}: {error}; its files stay as they are", watch.dir),
                    }
                }
            });
        }
    }
}

/// How a view stands, as far as it was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum View {
    #[default]
    Fresh,
    /// The registry cannot be reached.
    Stale,
    /// It refuses us, and somebody has to grant a permission.
    Refused,
}

/// One line when the view becomes stale, one when the reason turns out to be a refusal, and one when it is fresh again.
pub(crate) fn say(watch: &WatchSpec, event: &Event, view: &mut View) {
    match event {
        Event::Interrupted { error, stale_since, .. } => {
            let refused = matches!(error.kind(), ErrorKind::Unauthenticated | ErrorKind::PermissionDenied);
            let now = if refused { View::Refused } else { View::Stale };
            let since = stale_since.elapsed().as_secs();
            // A restart while it refuses us is no news.
            if *view == View::Fresh || (refused && *view == View::Stale) {
                tracing::warn!("{}: stale since {since}s: {error}; files and processes stay as they are", watch.dir);
                *view = now;
            }
        }
        Event::Snapshot { .. } | Event::Resumed { .. } | Event::Changes(_) => {
            if std::mem::take(view) != View::Fresh {
                tracing::info!("{}: fresh again", watch.dir);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use registry::{Dir, Error, Index};

    use super::*;

    /// What is said follows from how the view was told to stand.
    #[test]
    fn an_outage_that_turns_into_a_refusal_is_news_once() {
        let watch = WatchSpec { name: "db".into(), dir: Dir::new("/clusters/db").unwrap(), grace: None };
        let interrupted = |kind| Event::Interrupted {
            error: Error::new(kind, "why"),
            retry_in: Duration::from_secs(1),
            stale_since: Instant::now(),
        };
        let mut view = View::default();
        let steps = [
            (interrupted(ErrorKind::Unavailable), View::Stale),
            (interrupted(ErrorKind::PermissionDenied), View::Refused),
            (interrupted(ErrorKind::Unavailable), View::Refused),
            (Event::Resumed { index: Index::default() }, View::Fresh),
            (interrupted(ErrorKind::Unauthenticated), View::Refused),
        ];
        for (event, expected) in steps {
            say(&watch, &event, &mut view);
            assert_eq!(view, expected, "after {event:?}");
        }
    }
}
