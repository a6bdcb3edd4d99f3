//! A new configuration, made ready beside everything else.

use std::sync::Arc;
use std::time::Duration;

use registry::Registry;
use registry_handlers::{Handlers, Setup};
use tokio::task::{JoinError, JoinHandle};

use super::files;
use super::writing::Writing;
use crate::arguments::{Global, Own};
use crate::aside::aside;
use crate::configuration::{Configuration, SelfSpec};
use crate::exit::Outcome;
use crate::following::{Following, Kept, Memory};

/// How long a new configuration waits for the registry before the old one is kept.
const PATIENCE: Duration = Duration::from_secs(5);

/// One task at a time, and at most one more after it: however often it is asked for while one is under way, one that begins
/// afterwards sees everything that there was to see.
#[derive(Debug)]
pub(super) struct Latest<T> {
    under_way: Option<JoinHandle<T>>,
    again: bool,
}

impl<T: Send + 'static> Latest<T> {
    pub(super) fn new() -> Self {
        Self { under_way: None, again: false }
    }

    /// Begins now, or when the one that is under way has ended.
    pub(super) fn ask<F: Future<Output = T> + Send + 'static>(&mut self, begin: impl FnOnce() -> F) {
        if self.under_way.is_some() {
            self.again = true;
        } else {
            self.under_way = Some(tokio::spawn(begin()));
        }
    }

    /// Returns when the one that is under way has ended, and whether it was asked for again since it began. Waits
    /// indefinitely while there is none. Cancel safe.
    pub(super) async fn ended(&mut self) -> (Result<T, JoinError>, bool) {
        match &mut self.under_way {
            Some(task) => {
                let result = task.await;
                self.under_way = None;
                (result, std::mem::take(&mut self.again))
            }
            None => std::future::pending().await,
        }
    }

    /// Ends the one that is under way, and forgets that it was asked for again.
    pub(super) fn abort(&mut self) {
        self.again = false;
        if let Some(task) = self.under_way.take() {
            task.abort();
        }
    }
}

/// What a configuration is read with.
pub(super) struct Source {
    pub(super) global: Global,
    pub(super) given: Own,
    pub(super) registry: Arc<dyn Registry>,
    pub(super) setup: Setup,
    pub(super) memory: Memory,
    /// The registry that the configuration in force names.
    pub(super) url: Option<String>,
    /// What it follows.
    pub(super) kept: Kept,
}

/// A configuration that was read again and is valid. The files of the former one are not followed any more.
#[derive(Debug)]
pub(super) struct Fresh {
    pub(super) configuration: Configuration,
    pub(super) own: Option<SelfSpec>,
    pub(super) handlers: Handlers,
    pub(super) following: Following,
}

/// Reads and checks the configuration, lists what is watched anew, and ends the files of the former one.
///
/// # Errors
/// The former configuration is still in force. Cancelled, it is, or no file is written any more.
pub(super) async fn reload(source: Source, writing: Writing) -> Outcome<Fresh> {
    let Source { global, given, registry, setup, memory, url, kept } = source;
    // What is read may lie on a disk that hangs.
    let configuration = aside(move || Configuration::load(&global)).await??;
    let own = configuration.own(&given, &*registry)?;
    let check = move || {
        let handlers = files::check(&configuration, &configuration.files, &configuration.notifies, setup)?;
        Outcome::Ok((configuration, handlers))
    };
    let (configuration, handlers) = aside(check).await??;
    let following = Following::list_beside(kept, &*registry, &configuration, memory, PATIENCE).await?;
    if configuration.registry != url {
        tracing::warn!("another registry is used only after a restart");
    }
    // Everything is valid: from here on nothing can fail.
    writing.end().await;
    Ok(Fresh { configuration, own, handlers, following })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::sync::Notify;

    use super::*;

    /// Each notes what there was to see when it began, and goes on when it is let.
    #[tokio::test]
    async fn a_storm_begins_two_and_the_second_sees_the_newest() {
        let (newest, gate) = (Arc::new(Mutex::new(0)), Arc::new(Notify::new()));
        let mut latest = Latest::new();
        let begin = || {
            let (newest, gate) = (Arc::clone(&newest), Arc::clone(&gate));
            async move {
                let seen = *newest.lock().unwrap();
                gate.notified().await;
                seen
            }
        };
        for number in 1..=200 {
            *newest.lock().unwrap() = number;
            latest.ask(begin);
            tokio::task::yield_now().await;
        }
        gate.notify_one();
        let (seen, again) = latest.ended().await;
        assert_eq!((seen.unwrap(), again), (1, true));
        latest.ask(begin);
        gate.notify_one();
        let (seen, again) = latest.ended().await;
        assert_eq!((seen.unwrap(), again), (200, false));
    }

    #[tokio::test]
    async fn what_is_aborted_neither_ends_nor_begins_again() {
        let mut latest = Latest::new();
        let alive = Arc::new(());
        let begin = || {
            let alive = Arc::clone(&alive);
            async move {
                std::future::pending::<()>().await;
                drop(alive);
            }
        };
        latest.ask(begin);
        latest.ask(begin);
        tokio::task::yield_now().await;
        assert_eq!(Arc::strong_count(&alive), 2);
        latest.abort();
        let ended = tokio::time::timeout(Duration::from_millis(50), latest.ended()).await;
        assert!(ended.is_err(), "there is none that could end");
        assert_eq!(Arc::strong_count(&alive), 1, "it goes on");
    }
}
