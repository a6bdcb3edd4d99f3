//! Tells the watchers of this process that the store may have changed.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use inotify::{EventStream, Inotify, WatchMask};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::backend::Shared;
use crate::store::Store;

/// How often the store is looked at without being told: notifications of the file system may be lost.
const LOOK: Duration = Duration::from_secs(1);

/// A channel that changes whenever the store may have.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    signal: Mutex<Option<watch::Receiver<()>>>,
}

impl Hub {
    /// The signal. The first caller starts the task behind it; it ends with the registry.
    pub(crate) fn signal(&self, shared: &Arc<Shared>) -> watch::Receiver<()> {
        let mut signal = self.signal.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // A runtime that was shut down took the task with it.
        if let Some(receiver) = signal.as_ref().filter(|receiver| receiver.has_changed().is_ok()) {
            return receiver.clone();
        }
        let (sender, receiver) = watch::channel(());
        tokio::spawn(run(Arc::downgrade(shared), sender));
        *signal = Some(receiver.clone());
        receiver
    }
}

async fn run(shared: Weak<Shared>, signal: watch::Sender<()>) {
    let mut notes = shared.upgrade().and_then(|shared| match Notes::new(shared.path()) {
        Ok(notes) => Some(notes),
        Err(error) => {
            tracing::warn!(%error, "no notification of changes by the file system; looking every {LOOK:?} instead");
            None
        }
    });
    let mut seen = None;
    loop {
        let Some(registry) = shared.upgrade() else { return };
        let (head, next) = match registry.read(Store::look).await {
            Ok((head, next)) => (Some(head), next),
            Err(error) => {
                tracing::debug!(%error, "cannot look at the store");
                (None, None)
            }
        };
        drop(registry);
        // What cannot be read is news: the watchers shall find out why.
        if head.is_none() || head != seen {
            signal.send_replace(());
        }
        seen = head;
        let wait = next.map_or(LOOK, |next| Duration::from_millis(next.max(0).cast_unsigned()).min(LOOK));
        tokio::select! {
            () = sleep(wait) => {}
            () = noted(&mut notes) => {}
        }
    }
}

/// What the file system notes about the store.
struct Notes {
    stream: EventStream<[u8; 1024]>,
    name: OsString,
}

impl Notes {
    /// Watches the directory for a store that is touched, which follows each change, or that comes and goes.
    fn new(path: &Path) -> io::Result<Self> {
        let inotify = Inotify::init()?;
        let directory = path.parent().unwrap_or(path);
        let what = WatchMask::ATTRIB | WatchMask::CREATE | WatchMask::DELETE | WatchMask::MOVE;
        inotify.watches().add(directory, what)?;
        let name = path.file_name().unwrap_or_default().to_owned();
        Ok(Self { stream: inotify.into_event_stream([0; 1024])?, name })
    }

    /// Whether it is about the store. A note without a name is about the directory, or says that notes were lost.
    fn concerns(&self, note: &inotify::Event<OsString>) -> bool {
        note.name.as_ref().is_none_or(|name| *name == self.name)
    }
}

/// Returns when the file system has noted something. What it was does not matter: the history tells.
async fn noted(notes: &mut Option<Notes>) {
    let Some(of_store) = notes else { return std::future::pending().await };
    loop {
        match of_store.stream.next().await {
            // `SQLite`'s side files, and what others keep in the directory.
            Some(Ok(note)) if !of_store.concerns(&note) => {}
            Some(Ok(_)) => {
                while let Some(Some(Ok(_))) = of_store.stream.next().now_or_never() {}
                return;
            }
            failed => {
                tracing::warn!(?failed, "notifications of the file system ended; looking every {LOOK:?} instead");
                *notes = None;
                return;
            }
        }
    }
}
