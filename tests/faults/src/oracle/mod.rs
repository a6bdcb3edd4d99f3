//! The order in which the server says that things happened, read over a connection that no fault touches, and not by
//! the code that is under test.

mod consul;
mod etcd_v2;
mod etcd_v3;
mod http;
mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use registry::{Bytes, Condition, Key, RegisterOptions, Registry};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::Result;
use crate::history::{History, What};
use crate::stores::{Kind, Store};

/// Where a mark is set to see how far the oracle has read.
const MARK: &str = "/marks/oracle";
/// Longer than any server takes to recover, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Reads until it is dropped, and writes it all into a history.
#[derive(Debug)]
pub struct Oracle {
    history: History,
    direct: Arc<dyn Registry>,
    task: JoinHandle<()>,
    marks: u64,
}

impl Oracle {
    /// Begins to read the store from its first change on.
    ///
    /// # Errors
    /// When the store cannot be connected to.
    pub fn start(store: &Store, history: &History) -> Result<Self> {
        let (endpoint, recorder) = (store.endpoint(), history.recorder("oracle"));
        let task = match store.kind() {
            Kind::EtcdV3(_) | Kind::EtcdCluster(_) => tokio::spawn(etcd_v3::follow(endpoint, recorder)),
            Kind::EtcdV2(_) => tokio::spawn(etcd_v2::follow(endpoint, recorder)),
            Kind::ConsulKv => tokio::spawn(consul::follow(endpoint, recorder)),
            Kind::Sqlite => tokio::spawn(sqlite::follow(endpoint, recorder)),
        };
        Ok(Self { history: history.clone(), direct: store.direct()?, task, marks: 0 })
    }

    /// Returns when everything was read that happened before this was called, and where that is in the history.
    ///
    /// # Errors
    /// When the server, or the oracle, does not answer for a minute.
    pub async fn drain(&mut self) -> Result<u64> {
        self.marks += 1;
        let key = Key::parse(MARK)?;
        let mark = format!("{}-{}", std::process::id(), self.marks);
        let options = RegisterOptions::new().ttl(Duration::from_hours(1)).condition(Condition::Any);
        let begun = Instant::now();
        // Doubtful writes are no matter: any of them is a mark.
        while let Err(error) = self.direct.register(&key, Bytes::from(mark.clone()), &options).await {
            if begun.elapsed() > PATIENCE {
                return Err(format!("no mark can be set: {error}").into());
            }
            sleep(Duration::from_millis(50)).await;
        }
        let mut from = 0;
        loop {
            let (found, seen) =
                self.history.look(from, |lines| (lines.iter().find_map(|line| marked(&line.what, &mark)), lines.len()));
            if let Some(position) = found {
                self.history.recorder("oracle").record(What::Drained { position });
                return Ok(position);
            }
            from += seen;
            if begun.elapsed() > PATIENCE {
                return Err("the oracle does not come to its mark".into());
            }
            sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn marked(what: &What, mark: &str) -> Option<u64> {
    match what {
        What::Put { position, key, value, .. } if key == MARK && value == mark => Some(*position),
        What::State { index, members } if members.get(MARK).is_some_and(|seen| seen.value == mark) => Some(*index),
        _ => None,
    }
}
