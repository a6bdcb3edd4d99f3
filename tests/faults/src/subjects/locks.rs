//! One who wants a lock again and again, and writes to what it guards.

use std::sync::Arc;
use std::time::Duration;

use registry::Dir;
use registry_recipes::{Guard, Lock};
use tokio::time::sleep;

use super::{Context, LOOK, Resource};
use crate::history::{What, now};

/// How often it writes before it gives the lock back.
const WRITES: u32 = 20;
/// Between the last look at the lock and the write: where a process may be frozen.
const GAP: Duration = Duration::from_millis(3);

/// Takes the lock, writes to the resource while it is held, and gives it back.
pub async fn hold(context: Context, dir: Dir, ttl: Duration, resource: Arc<Resource>) {
    let lock = Lock::new(Arc::clone(&context.registry), dir.clone()).ttl(ttl);
    let lock_name = dir.to_string();
    while !context.is_stopped() {
        match lock.acquire_unless(context.stopped(), context.recorder.who().to_owned()).await {
            Ok(Some(guard)) => {
                work(&context, &lock_name, &guard, &resource).await;
                let _ = guard.release().await;
            }
            Ok(None) => return,
            Err(error) => {
                context.recorder.record(What::Interrupted { why: error.to_string() });
                context.rest(Duration::from_millis(200)).await;
            }
        }
        context.rest(LOOK).await;
    }
}

async fn work(context: &Context, lock: &str, guard: &Guard, resource: &Resource) {
    let (recorder, token) = (&context.recorder, guard.token().position());
    let mut last = now();
    if !guard.held() {
        return;
    }
    recorder.record(What::Acquired { lock: lock.to_owned(), token });
    for _ in 0..WRITES {
        let at = now();
        if !guard.held() {
            break;
        }
        last = at;
        sleep(GAP).await;
        resource.write(lock, token, recorder);
        if !context.rest(LOOK).await {
            break;
        }
    }
    recorder.record(What::Dropped { lock: lock.to_owned(), token, last });
}
