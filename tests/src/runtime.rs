//! Tests are plain functions; what is asynchronous in them runs here.

use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

/// Runs a future to its end. What it starts goes on running afterwards.
pub fn block_on<F: Future>(future: F) -> F::Output {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads can be started")
    });
    runtime.block_on(future)
}
